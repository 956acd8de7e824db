"""What the read role's user may do in the three Valkeys: fill the read cache, and look."""

import pytest
import redis
from redis.exceptions import NoPermissionError

FORBIDDEN = [
    ("STATE_URL", ["SET", "socialapp:1:session", "forged"]),
    ("STATE_URL", ["KEYS", "*"]),
    ("STATE_URL", ["SCAN", "0"]),
    ("STATE_URL", ["LPUSH", "commands", "{}"]),
    ("STATE_URL", ["GET", "commands"]),
    ("STATE_URL", ["HGETALL", "socialapp:1:session"]),
    ("STATE_URL", ["HSET", "socialapp:v1:audit:cache:counts", "cache:stale", "0"]),
    ("STATE_URL", ["FLUSHALL"]),
    ("STATE_URL", ["EVAL", "return 1", "0"]),
    ("LOG_URL", ["XADD", "socialapp:v1:log:stream:{p3}", "*", "c", "forged"]),
    ("LOG_URL", ["SET", "socialapp:v1:log:status:x:{p3}", "forged"]),
    ("LOG_URL", ["XRANGE", "socialapp:v1:log:stream:{p3}", "-", "+"]),
    ("LOG_URL", ["EVAL", "return 1", "0"]),
    ("LOG_URL", ["CONFIG", "SET", "appendfsync", "no"]),
    ("LOG_URL", ["SHUTDOWN", "NOSAVE"]),
    ("CACHE_URL", ["FLUSHALL"]),
    ("CACHE_URL", ["CONFIG", "SET", "maxmemory", "1"]),
    ("CACHE_URL", ["ACL", "LIST"]),
    ("CACHE_URL", ["SET", "another-service:key", "1"]),
    *(
        (url, command)
        for url in ("STATE_URL", "LOG_URL", "CACHE_URL")
        for command in (["CLIENT", "PAUSE", "1"], ["CLIENT", "LIST"])
    ),
]


@pytest.mark.parametrize(("url", "command"), FORBIDDEN, ids=str)
def test_the_read_role_may_not(servers, url, command):
    client = redis.Redis.from_url(servers.environment("read")[url])
    with pytest.raises(NoPermissionError):
        client.execute_command(*command)


@pytest.mark.parametrize("url", ["CACHE_URL", "STATE_URL", "LOG_URL"])
def test_without_a_password_nobody_gets_in(servers, url):
    address = servers.environment("read")[url]
    socket = address[address.index("@") + 1 : address.index("?")]
    with pytest.raises(NoPermissionError):
        redis.Redis(unix_socket_path=socket).get("socialapp:v1:log:status:x:{p3}")
