"""Valkeys of a test's own, started from the same wheel as the stack's: a cluster of three primaries, or one log that
may be frozen, killed and started again."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from deploy.embedded.ground import free_port

SLOTS = 16_384
PRIMARIES = 3


class ValkeyCluster:
    """url: any one node, as CACHE_URL names a cluster. nodes: the processes, in the order of their slots."""

    def __init__(self, ports: list[int], buses: list[int], nodes: list[subprocess.Popen]):
        self.ports, self.buses, self.nodes = ports, buses, nodes
        self.url = f"redis+cluster://127.0.0.1:{ports[0]}"

    def client(self, node: int) -> Redis:
        return Redis(port=self.ports[node], socket_timeout=2)

    @contextmanager
    def replica(self, binary: Path, folder: Path, *, of: int) -> Iterator[None]:
        """One more process, which replicates a node until the end of the block."""
        port, bus = free_port(), free_port()
        process = start(binary, folder, port, bus)
        try:
            client, target = Redis(port=port, socket_timeout=2), self.client(of).execute_command("CLUSTER MYID")
            wait_until(client.ping)
            client.execute_command("CLUSTER MEET", "127.0.0.1", self.ports[of], self.buses[of])
            # Refused until it has learned of the node.
            wait_until(lambda: client.execute_command("CLUSTER REPLICATE", target))
            wait_until(lambda: self.client(of).info("replication")["connected_slaves"])
            yield
        finally:
            process.kill()
            process.wait(timeout=10)

    def move(self, slot: int, port: int) -> None:
        """A slot goes to the node at `port`, its keys are lost; clients believe in the former place."""
        target = self.client(self.ports.index(port)).execute_command("CLUSTER MYID")
        for node in range(PRIMARIES):
            client = self.client(node)
            for key in client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
                client.delete(key)
            client.execute_command("CLUSTER SETSLOT", slot, "NODE", target)


@contextmanager
def valkey_cluster(binary: Path, folder: Path) -> Iterator[ValkeyCluster]:
    ports = [free_port() for _ in range(PRIMARIES)]
    buses = [free_port() for _ in range(PRIMARIES)]
    nodes = [start(binary, folder, port, bus) for port, bus in zip(ports, buses, strict=True)]
    try:
        cluster = ValkeyCluster(ports, buses, nodes)
        join(cluster, buses)
        yield cluster
    finally:
        for node in nodes:
            node.kill()
            node.wait(timeout=10)


def start(binary: Path, folder: Path, port: int, bus: int) -> subprocess.Popen:
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": str(folder),
        "save": "",
        "cluster-enabled": "yes",
        "cluster-port": bus,
        "cluster-config-file": f"nodes-{port}.conf",
        "cluster-node-timeout": 1000,
        # As AWS sets it: one node that is gone takes only its own keys along.
        "cluster-require-full-coverage": "no",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def join(cluster: ValkeyCluster, buses: list[int]) -> None:
    share = -(-SLOTS // PRIMARIES)
    for node in range(PRIMARIES):
        client = cluster.client(node)
        wait_until(client.ping)
        client.execute_command("CLUSTER ADDSLOTSRANGE", node * share, min((node + 1) * share, SLOTS) - 1)
        client.execute_command("CLUSTER MEET", "127.0.0.1", cluster.ports[0], buses[0])
    for node in range(PRIMARIES):
        wait_until(partial(knows_all, cluster.client(node)))


def knows_all(client: Redis) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_slots_ok"] == str(SLOTS)


def wait_until(question) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if question():
                return
        except RedisError:
            pass
        time.sleep(0.02)
    raise AssertionError("never became true")


class ValkeyLog:
    """A durable server on a port of its own; its data survive a kill."""

    def __init__(self, binary: Path, folder: Path):
        self.port, self._binary, self._folder = free_port(), binary, folder
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen | None = None

    def start(self, **options: str) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": "", **DURABLE} | options
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self.process = subprocess.Popen([self._binary, *arguments], stdout=subprocess.DEVNULL)
        wait_until(self.client().ping)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def client(self) -> Redis:
        return Redis(port=self.port, socket_timeout=2)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    @contextmanager
    def full(self, *, above: int = 0) -> Iterator[None]:
        """Other keys fill its memory to the last byte, or to so many bytes above its limit; afterwards they are gone.

        A server that is exactly full has room again when a buffer of a connection shrinks.
        """
        client = self.client()
        with full(client):
            client.config_set("maxmemory", int(client.config_get("maxmemory")["maxmemory"]) - above)
            yield


@contextmanager
def full(client: Redis) -> Iterator[None]:
    """A server whose memory other keys fill until it refuses the shortest write."""
    most = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", client.info("memory")["used_memory"] + FILLING)
    try:
        for size in (10_000, 100, 1):
            fill(client, size)
        yield
    finally:
        client.config_set("maxmemory", most)
        client.delete(FILLER)


def fill(client: Redis, size: int) -> None:
    with suppress(OutOfMemoryError):
        while True:
            client.rpush(FILLER, os.urandom(size))


# Bytes that the filler may take, and its key.
FILLING = 200_000
FILLER = "filler"
DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@contextmanager
def valkey_log(binary: Path, folder: Path, **options: str) -> Iterator[ValkeyLog]:
    server = ValkeyLog(binary, folder)
    server.start(**options)
    try:
        yield server
    finally:
        server.kill()
