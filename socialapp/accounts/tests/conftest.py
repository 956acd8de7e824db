"""Fixtures of tests of accounts."""

from socialapp.tests.conftest import clean_stores  # noqa: F401 a fixture
