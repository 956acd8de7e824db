"""Raw clients of the three Valkey endpoints, from Django's CACHES, so timeouts are set in one place."""

from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from django_redis import get_redis_connection
from django_redis.pool import ConnectionFactory
from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import RedisError

# What a Valkey that is down, frozen, full or loading raises.
UNREACHABLE = (RedisError, OSError)


class ClusterFactory(ConnectionFactory):
    """For django-redis: one RedisCluster per process and URL, as it holds the slot map and a pool for each node."""

    _clusters: dict[str, RedisCluster] = {}
    _making = Lock()

    def connect(self, url: str) -> RedisCluster:
        with self._making:
            if url not in self._clusters:
                self._clusters[url] = RedisCluster.from_url(url, **self.pool_cls_kwargs)
        return self._clusters[url]


def read_cache() -> Redis | RedisCluster:
    return get_redis_connection("read_cache")


def command_log() -> Redis | RedisCluster:
    return get_redis_connection("command_log")


def state() -> Redis:
    return get_redis_connection("default")


def primaries(client: Redis | RedisCluster) -> list[Redis]:
    """A client of each server that holds keys of its own."""
    if isinstance(client, RedisCluster):
        return [client.get_redis_connection(node) for node in client.get_primaries()]
    return [client]


def server_of(client: Redis | RedisCluster, key: str) -> Redis:
    """A client of the one server that holds a key, for commands that belong on one connection."""
    if isinstance(client, RedisCluster):
        return client.get_redis_connection(client.get_node_from_key(key))
    return client


def relearn(client: Redis | RedisCluster) -> None:
    """After a server was asked directly and failed: its keys may be elsewhere by now."""
    if isinstance(client, RedisCluster):
        with suppress(*UNREACHABLE):
            client.nodes_manager.initialize()


def get_many(client: Redis | RedisCluster, keys: Sequence[str]) -> list[bytes | None]:
    """MGET; on a cluster one for each slot, as none may ask across slots."""
    return client.mget_nonatomic(keys) if isinstance(client, RedisCluster) else client.mget(keys)


def greet(client: Redis | RedisCluster, *, within: float) -> None:
    """Raises what UNREACHABLE names unless a server answers on a new connection within so many seconds."""
    server = client.get_redis_connection(client.get_default_node()) if isinstance(client, RedisCluster) else client
    pool = server.connection_pool
    limits = {"socket_timeout": within, "socket_connect_timeout": within}
    connection = pool.connection_class(**pool.connection_kwargs | limits)
    try:
        connection.connect()
        connection.send_command("PING")
        connection.read_response()
    finally:
        connection.disconnect()
