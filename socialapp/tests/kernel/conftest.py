"""Every test of the kernel starts with an empty log and cache."""

import pytest


@pytest.fixture(autouse=True)
def fresh(clean_stores):
    """For tests that name no other fixture."""
