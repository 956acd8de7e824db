"""Tests of how the project is run."""
