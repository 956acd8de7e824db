"""A Valkey cluster of three primaries, started from the same wheel as the stack's servers."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from deploy.embedded.ground import free_port

SLOTS = 16_384
PRIMARIES = 3


class ValkeyCluster:
    """url: any one node, as CACHE_URL names a cluster. nodes: the processes, in the order of their slots."""

    def __init__(self, ports: list[int], nodes: list[subprocess.Popen]):
        self.ports, self.nodes = ports, nodes
        self.url = f"redis+cluster://127.0.0.1:{ports[0]}"

    def client(self, node: int) -> Redis:
        return Redis(port=self.ports[node], socket_timeout=2)


@contextmanager
def valkey_cluster(binary: Path, folder: Path) -> Iterator[ValkeyCluster]:
    ports = [free_port() for _ in range(PRIMARIES)]
    buses = [free_port() for _ in range(PRIMARIES)]
    nodes = [start(binary, folder, port, bus) for port, bus in zip(ports, buses, strict=True)]
    try:
        cluster = ValkeyCluster(ports, nodes)
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
    raise AssertionError("the cluster did not form")
