"""Faults under load cost no failed GET: `make chaos` in short, on the session's own stack."""

import pytest

from deploy.chaos.reads import measure, short_faults

# Each phase of a fault: before, during and after.
SECONDS = 1.5


@pytest.fixture
def paths(user) -> list[str]:
    """A post and lists that are cached, and pages of so many lengths that most have to be loaded."""
    post = user.create_post("still here")["id"]
    cached = [f"/api/v1/posts/{post}", f"/api/v1/users/{user.username}/posts", "/api/v1/timelines/public"]
    return [path for limit in range(1, 101) for path in (*cached, f"/api/v1/posts/{post}/comments?limit={limit}")]


@pytest.mark.parametrize("name", ["a replica killed", "cache killed", "cache frozen", "a read server killed"])
def test_a_fault_costs_no_failed_get(stack, paths, name):
    at = {"gateway": f"http://127.0.0.1:{stack.port}", "read server": stack.socket("read-2")}
    rows = list(measure(stack, at, paths, {name: short_faults(stack)[name]}, SECONDS))
    assert [row.failures for row in rows if row.failed] == []
    assert min(row.gets for row in rows) > 20, rows
