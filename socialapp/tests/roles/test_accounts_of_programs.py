"""As whom the programs of a stack run: never as root, when another user can reach what they need."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deploy.embedded import account


@pytest.fixture
def expected(stack) -> int:
    """The id of the one user of all programs, supervisord and its guardian included."""
    other = account.unprivileged()
    if other is None:
        return os.getuid()
    if account.of_programs(other, stack.layout) is None:
        pytest.skip("no other user can reach the programs, nor be given the capability to")
    return other.uid


def test_every_program_runs_as_the_unprivileged_user(stack, expected):
    users = [users for users, _ in identities(stack)]
    assert len(users) > 25
    assert set().union(*users) == {expected}


def test_no_program_has_a_group_of_root(stack, expected):
    if expected == 0:
        pytest.skip("root is the only user here")
    assert not [groups for _, groups in identities(stack) if 0 in groups]


def identities(stack) -> list[tuple[set[int], set[int]]]:
    """(users, groups) of each process."""
    found = []
    for process in stack.processes():
        # A Postgres session may have ended since.
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            found.append((set(process.uids()), {*process.gids(), *supplementary(process.pid)}))
    return found


def supplementary(pid: int) -> list[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return list(map(int, next(line for line in lines if line.startswith("Groups:")).split()[1:]))


def test_the_state_belongs_to_that_user_and_secrets_to_nobody_else(stack, expected):
    found = stack.layout.var.stat(), (stack.layout.var / "secrets.json").stat()
    assert {one.st_uid for one in found} == {expected}
    assert stat.S_IMODE(found[1].st_mode) == 0o600


@pytest.mark.parametrize("program", ["postgres-primary", "nginx", "valkey-state"])
def test_servers_read_nothing_that_their_user_may_not(stack, expected, program):
    """Where Python is below root's home, its programs may read all of it; these need not."""
    if not stack.cast.servers_are_in_reach:
        pytest.skip("the servers' own programs are out of their user's reach")
    lines = Path(f"/proc/{stack.pid(program)}/status").read_text().splitlines()
    assert int(next(line for line in lines if line.startswith("CapEff:")).split()[1], 16) == 0
