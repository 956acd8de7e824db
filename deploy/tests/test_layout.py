"""Where files and sockets go."""

import os
from pathlib import Path

import pytest

from deploy.embedded import layout as layouts
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout

CHECKOUT = Path("/srv/app")


def test_sockets_are_in_var():
    assert Layout.of(Path("var"), CHECKOUT).socket("read-1") == Path("/srv/app/var/run/read-1.sock")


@pytest.mark.parametrize("var", ["x" * 60, "with space", "with,comma", "ünïcode"])
def test_where_a_socket_would_not_fit_it_goes_to_a_private_folder(var):
    layout = Layout.of(Path(var), CHECKOUT)
    assert not layout.run.is_relative_to(layout.var)
    assert layout.stack_id in layout.run.name
    assert layouts.holds_sockets(layout.run)


def test_the_private_folder_stays_the_same_when_the_temp_folder_changes(tmp_path, monkeypatch):
    first = Layout.of(tmp_path / ("x" * 80), CHECKOUT)
    first.make_folders()
    monkeypatch.setattr(layouts.tempfile, "gettempdir", lambda: "/elsewhere")
    assert Layout.of(first.var, CHECKOUT).run == first.run
    first.run.rmdir()


def test_a_private_folder_made_by_somebody_else_is_refused(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(StackFailure, match="symbolic link"):
        layouts.make_private(tmp_path / "link", {os.getuid()})


@pytest.mark.parametrize("var", [".", "..", "/", "var/.."])
def test_var_is_not_the_checkout_nor_around_it(var):
    with pytest.raises(StackFailure, match="folder of its own"):
        Layout.of(Path(var), CHECKOUT)


def test_two_vars_are_two_stacks():
    assert Layout.of(Path("var"), CHECKOUT).stack_id != Layout.of(Path("var2"), CHECKOUT).stack_id
