"""Fixtures of the tests of publishing, run inside this process against real servers."""

from socialapp.publishing.tests.subscribers import happen, subscribed  # noqa: F401 fixtures
from socialapp.tests.conftest import author, clean_stores, drain_all  # noqa: F401 fixtures
