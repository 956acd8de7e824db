"""Migrations that only test_migrate.py applies."""
