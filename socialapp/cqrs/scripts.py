"""Scripts in Valkey, called by their digests; a server that does not know one is told once. Raises valkey.UNREACHABLE.

The one that every write runs in the command log goes over redis-py's connections, but past its commands: they, with
the pool and its retries, are a third of the processor time of accepting a write; this is a tenth.
"""

import os
from collections.abc import Sequence
from hashlib import sha1

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import AskError, ConnectionError, MovedError, NoScriptError

from socialapp.cqrs import valkey
from socialapp.cqrs.wire import Cluster, Node, OneServer

# Its keys, all in one slot, and its arguments.
Call = tuple[Sequence[str], Sequence[object]]


class Script:
    def __init__(self, source: str):
        self.source = source
        self._digest = sha1(source.encode(), usedforsecurity=False).hexdigest()

    def run(self, keys: list[str], *arguments: object) -> object:
        """What the script returns, in the command log. All keys are in one slot."""
        tail = (len(keys), *keys, *arguments)
        try:
            return _send(keys[0], ("EVALSHA", self._digest, *tail))
        except NoScriptError:
            # A server that has been started since knows no scripts.
            return _send(keys[0], ("EVAL", self.source, *tail))

    def run_all(self, client: Redis | RedisCluster, calls: Sequence[Call]) -> list:
        """What it returns for each call, in one round trip per node of `client`, which need not be the log's."""
        answers = self._pipelined(client, ("EVALSHA", self._digest), calls)
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            again = self._pipelined(client, ("EVAL", self.source), [calls[place] for place in unknown])
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        failed = next((answer for answer in answers if isinstance(answer, Exception)), None)
        if failed:
            raise failed
        return answers

    def _pipelined(self, client: Redis | RedisCluster, script: tuple[str, str], calls: Sequence[Call]) -> list:
        if not calls:
            return []
        # On a cluster, pipelines refuse eval() and evalsha(), and send the commands to the nodes of their keys.
        pipeline = client.pipeline(transaction=False)
        for touched, arguments in calls:
            pipeline.execute_command(*script, len(touched), *touched, *arguments)
        return pipeline.execute(raise_on_error=False)


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
