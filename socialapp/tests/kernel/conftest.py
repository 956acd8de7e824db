"""Every test of the kernel starts with an empty log and cache."""

import pytest

from socialapp.cqrs import reader


@pytest.fixture(autouse=True)
def fresh(clean_stores):
    """For tests that name no other fixture. What an earlier test's cache did is forgotten, too."""
    reader.breaker.close()
