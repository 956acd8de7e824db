"""What a cache hit needs of Valkey: GET, MGET and HGET, on redis-py's connections but past its commands.

redis-py spends 48 microseconds of CPU on a GET; with its own connections, but without its pool, retry and response
layers, it is 14. Used by `reader`, and its connections by `scripts`; raises what valkey.UNREACHABLE names.
"""

import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

from hiredis import pack_command
from redis import Redis
from redis.cluster import RedisCluster
from redis.connection import Connection
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError

from socialapp.cqrs import valkey
from socialapp.cqrs.keys import Slot

Command = tuple[str, ...]


class Node:
    """One server and this process's idle connections to it; safe between threads and greenlets."""

    def __init__(self, client: Redis):
        self._pool = client.connection_pool
        self._idle: deque[Connection] = deque()

    def send(self, commands: Sequence[Command]) -> Connection:
        connection = self._connection()
        try:
            connection.send_packed_command([pack_command(command) for command in commands], check_health=False)
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def receive(self, connection: Connection, answers: int) -> list:
        """The answers to what was sent. A connection whose answer was not read to its end is never used again."""
        try:
            found = [connection.read_response() for _ in range(answers)]
        except BaseException:
            self._drop(connection)
            raise
        self._idle.append(connection)
        return found

    def _connection(self) -> Connection:
        with suppress(IndexError):
            return self._idle.pop()
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()
        return connection

    def _drop(self, connection: Connection) -> None:
        """With all others: if the server went away, they are as dead."""
        connection.disconnect()
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().disconnect()


class OneServer:
    def __init__(self, client: Redis, kind: type[Node] = Node):
        self._node = kind(client)

    def node(self, key: str) -> Node:
        return self._node

    def relearn(self) -> None:
        """There is but one."""

    def get(self, slots: Sequence[Slot]) -> list[bytes | None]:
        """One round trip, whatever is asked for."""
        pages = [_single(slot) for slot in slots if slot[1]]
        entities = [key for key, field in slots if not field]
        commands = [*pages, ("MGET", *entities)] if entities else pages
        answers = self._node.receive(self._node.send(commands), len(commands))
        return answers[:-1] + answers[-1] if entities else answers


class Cluster:
    """Keys are grouped by the node that holds them; nodes are asked side by side, one round trip each."""

    def __init__(self, client: RedisCluster, kind: type[Node] = Node):
        self._client = client
        self._kind = kind
        self._nodes: dict[str, Node] = {}

    def get(self, slots: Sequence[Slot]) -> list[bytes | None]:
        try:
            return self._get(slots)
        except (MovedError, AskError):
            # Slots have moved: learn where to, and ask again, once.
            self.relearn()
            return self._get(slots)

    def _get(self, slots: Sequence[Slot]) -> list[bytes | None]:
        places: dict[Node, list[int]] = {}
        for place, (key, _) in enumerate(slots):
            places.setdefault(self.node(key), []).append(place)
        sent = [(node, node.send([_single(slots[place]) for place in wanted])) for node, wanted in places.items()]
        found: list[bytes | None] = [None] * len(slots)
        for node, connection in sent:
            wanted = places[node]
            for place, body in zip(wanted, node.receive(connection, len(wanted)), strict=True):
                found[place] = body
        return found

    def relearn(self) -> None:
        self._client.nodes_manager.initialize()

    def node(self, key: str) -> Node:
        node = self._client.nodes_manager.get_node_from_slot(key_slot(key.encode()))
        if node.name not in self._nodes:
            self._nodes[node.name] = self._kind(self._client.get_redis_connection(node))
        return self._nodes[node.name]


def _single(slot: Slot) -> Command:
    key, field = slot
    return ("HGET", key, field) if field else ("GET", key)


@cache
def transport() -> OneServer | Cluster:
    client = valkey.read_cache()
    return Cluster(client) if isinstance(client, RedisCluster) else OneServer(client)


# Connections of the parent are not the child's to use.
os.register_at_fork(after_in_child=transport.cache_clear)


def get(slots: Sequence[Slot]) -> list[bytes | None]:
    """Entries in the order of `slots`, pages before entities; None where there is none."""
    return transport().get(slots)
