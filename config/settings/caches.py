"""Three Valkey endpoints by what they may lose; every connection in the project is made from here."""

from redis.backoff import NoBackoff
from redis.retry import Retry

from config.settings.env import ROLE, env
from config.settings.publishing import EVENTS_STREAM_URL

CLUSTER = ("redis+cluster://", "rediss+cluster://")


def valkey(url: str, timeout: float, **options) -> dict:
    """A django-redis cache on `url`; `timeout` in seconds bounds connecting and each answer.

    redis+cluster://host:port names any one server of a cluster, which tells of all others.
    """
    pool = {
        "socket_connect_timeout": timeout,
        "socket_timeout": timeout,
        # redis-py retries ten times by default: with it a timeout of 50 ms costs 3.6 s.
        "retry": Retry(NoBackoff(), 0),
        "max_connections": 256,
    }
    if url.startswith(CLUSTER):
        url = url.replace("+cluster", "", 1)
        options |= {"CONNECTION_FACTORY": "socialapp.cqrs.valkey.ClusterFactory"}
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": "socialapp",
        "OPTIONS": {
            "CLIENT_CLASS": "django_redis.client.DefaultClient",
            # The default is pickle: whoever can write a session could run code in every process that reads it.
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "CONNECTION_POOL_KWARGS": pool,
            **options,
        },
    }


CACHES = {
    # STATE_URL: sessions, limits and locks. Django's own cache API writes here.
    "default": valkey(env.str("STATE_URL"), timeout=0.5),
    # CACHE_URL: the read cache. A read may lose at most 50 ms to a cache that does not answer; a worker that
    # invalidates for a whole batch would rather wait than leave clients to pass the cache by.
    "read_cache": valkey(env.str("CACHE_URL"), timeout=1 if ROLE == "worker" else 0.05),
    # LOG_URL: the command log. An fsync of a busy disk may take a while; a write would rather wait than fail.
    "command_log": valkey(env.str("LOG_URL"), timeout=2),
}

# EVENTS_STREAM_URL: other teams' events. With `appendfsync everysec` a batch is on disk after up to a second.
if EVENTS_STREAM_URL:
    CACHES["event_stream"] = valkey(EVENTS_STREAM_URL, timeout=3)

SESSION_ENGINE = "socialapp.identity.sessions"
SESSION_CACHE_ALIAS = "default"
