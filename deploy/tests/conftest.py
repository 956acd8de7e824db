"""nginx with the real configuration, in front of origins that each test scripts."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.embedded import binaries, gateway, ground
from deploy.embedded.layout import Layout
from deploy.tests.gate import POOLS, Gateway
from deploy.tests.origin import Answer, Origin

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def nginx():
    with running_gateway() as running:
        yield running


@contextmanager
def running_gateway() -> Iterator[Gateway]:
    # As long as a folder of sockets may be; pytest's own ones are longer.
    folder = Path(tempfile.mkdtemp(prefix="gateway-" + "x" * 40))
    layout = Layout.of(folder, CHECKOUT)
    layout.make_folders()
    layout.static.mkdir()
    port = ground.free_port()
    gateway.write_configuration(layout, port, as_root=os.getuid() == 0)
    running = Gateway(port, layout.static, {name: Origin(layout.socket(name)) for name in POOLS})
    for origin in running.origins.values():
        origin.start()
    command = [binaries.nginx(), "-p", f"{layout.nginx}/", "-c", "gateway.conf", "-e", "stderr"]
    process = subprocess.Popen(command, cwd=layout.nginx)
    wait_until_listening(port, process)
    yield running
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    shutil.rmtree(folder)


def wait_until_listening(port: int, process: subprocess.Popen) -> None:
    for _ in range(200):
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nginx does not listen")


@pytest.fixture
def gate(nginx):
    nginx.answer("", Answer())
    for origin in nginx.origins.values():
        origin.seen.clear()
    return nginx


@pytest.fixture
def path():
    """An address that no other test has put into the cache."""
    return f"/api/v1/posts/{os.urandom(8).hex()}"


@pytest.fixture
def dead(gate):
    """Stops servers by name; they are back after the test."""
    stopped = []

    def kill(*names):
        for name in names:
            gate.origins[name].stop()
            stopped.append(name)

    yield kill
    for name in stopped:
        gate.origins[name].start()
