"""Raw clients of the three Valkey endpoints, from Django's CACHES, so timeouts are set in one place."""

from django_redis import get_redis_connection
from redis import Redis
from redis.exceptions import RedisError

# What a Valkey that is down, frozen, full or loading raises.
UNREACHABLE = (RedisError, OSError)


def read_cache() -> Redis:
    return get_redis_connection("read_cache")


def command_log() -> Redis:
    return get_redis_connection("command_log")


def state() -> Redis:
    return get_redis_connection("default")
