"""As whom the programs of a stack run: never as root, when another user can reach what they need."""

import os
import stat
from pathlib import Path

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
    processes = stack.processes()
    assert len(processes) > 25
    assert {uid for process in processes for uid in process.uids()} == {expected}


def test_no_program_has_a_group_of_root(stack, expected):
    if expected == 0:
        pytest.skip("root is the only user here")
    groups = {process.pid: (process.gids(), supplementary(process.pid)) for process in stack.processes()}
    assert not [pid for pid, (gids, others) in groups.items() if 0 in (*gids, *others)]


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
