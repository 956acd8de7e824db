"""What stops a start, in one line each."""

import json
import socket

import pytest

from deploy.embedded import ground
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "var").mkdir()
    return Layout.of(tmp_path / "var", tmp_path / "checkout")


def test_a_taken_port_names_another():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackFailure) as failure:
            ground.check_port(port)
    assert str(failure.value) == f"Port {port} is taken: choose another with make up PORT={port + 1}"


def test_a_free_port_is_fine():
    ground.check_port(ground.free_port())


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_number_that_is_no_port(port):
    with pytest.raises(StackFailure, match="is not a port"):
        ground.check_port(port)


def test_a_full_disk_is_told(layout, monkeypatch):
    monkeypatch.setattr(ground, "LEAST_DISK", 2**70)
    with pytest.raises(StackFailure, match="MiB are free"):
        ground.check_disk(layout)


def test_another_checkouts_stack_is_left_alone(layout):
    layout.record.write_text(json.dumps({"port": 8080, "checkout": "/somewhere/else"}))
    with pytest.raises(StackFailure, match="holds the running stack of /somewhere/else"):
        ground.check_same_stack(layout, 8080)


def test_a_running_stack_keeps_its_port(layout):
    layout.record.write_text(json.dumps({"port": 8080, "checkout": str(layout.checkout)}))
    ground.check_same_stack(layout, 8080)
    with pytest.raises(StackFailure, match="runs on port 8080"):
        ground.check_same_stack(layout, 8081)
