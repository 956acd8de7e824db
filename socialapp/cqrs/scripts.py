"""Scripts that every write runs in the command log's Valkey: EVALSHA on redis-py's connections, past its commands.

redis-py's own EVAL, with its pool and retries, is a third of the processor time of accepting a write; this is a tenth.
Raises what valkey.UNREACHABLE names.
"""

import os
from hashlib import sha1

from redis.cluster import RedisCluster
from redis.exceptions import AskError, ConnectionError, MovedError, NoScriptError

from socialapp.cqrs import valkey
from socialapp.cqrs.wire import Cluster, Node, OneServer


class Script:
    def __init__(self, source: str):
        self._source = source
        self._digest = sha1(source.encode(), usedforsecurity=False).hexdigest()

    def run(self, keys: list[str], *arguments: object) -> object:
        """What the script returns. All keys are in one slot."""
        tail = (len(keys), *keys, *arguments)
        try:
            return _send(keys[0], ("EVALSHA", self._digest, *tail))
        except NoScriptError:
            # A server that has been started since knows no scripts.
            return _send(keys[0], ("EVAL", self._source, *tail))


class Checked(Node):
    """Notices that a server has hung up before it is sent a write, of which nobody could tell whether it arrived."""

    def _connection(self):
        connection = super()._connection()
        try:
            if not connection.can_read(0):
                return connection
        except (ConnectionError, OSError):
            pass
        self._drop(connection)
        return super()._connection()


def _send(key: str, command: tuple) -> object:
    try:
        return _ask(key, command)
    except (MovedError, AskError):
        # Refused, so not done: learn where the slot is now.
        servers().relearn()
        return _ask(key, command)


def _ask(key: str, command: tuple) -> object:
    node = servers().node(key)
    (answer,) = node.receive(node.send([command]), 1)
    return answer


_known: dict[object, OneServer | Cluster] = {}
# Connections of the parent are not the child's to use.
os.register_at_fork(after_in_child=_known.clear)


def servers() -> OneServer | Cluster:
    """Of the command log; threads share their connections."""
    client = valkey.command_log()
    place = client if isinstance(client, RedisCluster) else client.connection_pool
    if place not in _known:
        _known[place] = (Cluster if isinstance(client, RedisCluster) else OneServer)(client, Checked)
    return _known[place]
