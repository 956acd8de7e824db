"""A full disk of the gateway costs no answer: what cannot be kept is passed on."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.tests.origin import Answer
from deploy.tests.test_gateway_cache import PUBLIC

SIZE = 4 * 2**20


@pytest.fixture
def full_disk(nginx) -> Iterator[Path]:
    """The cache's folder on a disk of its own, without a byte left."""
    cache = nginx.static.parent / "nginx" / "cache"
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(cache)]
    if os.getuid() or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a disk that a test may fill: run it as root to test a full gateway disk")
    try:
        filler = cache / "filler"
        fill(filler)
        yield filler
    finally:
        subprocess.run(["umount", "--lazy", str(cache)], check=True)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def test_every_cacheable_answer_arrives_when_the_disk_is_full(gate, full_disk):
    bodies = [os.urandom(size) for size in (0, 100, 30_000, 300_000, 2_000_000)]
    gate.answer("read", lambda request: Answer(headers=PUBLIC, body=bodies[int(request.path.rpartition("=")[2])]))
    for number, body in enumerate(bodies):
        for _ in range(3):
            reply = gate("GET", f"/api/v1/posts?full={number}")
            assert (reply.status, reply.body) == (200, body)


def test_simultaneous_misses_arrive_when_the_disk_is_full(gate, full_disk, path):
    gate.answer("read", Answer(headers=PUBLIC, body=b"x" * 10_000))
    found = []
    crowd = [threading.Thread(target=lambda: found.append(gate("GET", path))) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert [(reply.status, len(reply.body)) for reply in found] == [(200, 10_000)] * 8


def test_an_answer_to_somebody_needs_no_disk(gate, full_disk):
    gate.answer("read", Answer(body=b"x" * 2_000_000))
    reply = gate("GET", "/api/v1/me", Authorization="Bearer x")
    assert (reply.status, len(reply.body)) == (200, 2_000_000)


def test_what_is_kept_again_when_there_is_room(gate, full_disk, path):
    gate.answer("read", Answer(headers=PUBLIC))
    assert gate("GET", path).cache == "gateway; fwd=uri-miss"
    full_disk.unlink()
    gate("GET", path)
    assert gate("GET", path).cache == "gateway; hit"
