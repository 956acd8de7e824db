"""Who may do what on the event stream's server, by deploy/valkey/events.acl: one user writes, subscribers only read."""

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from config.settings import caches
from deploy.embedded import binaries
from deploy.embedded.gateway import filled_in
from socialapp.publishing import streams
from socialapp.tests.fixtures import CHECKOUT
from socialapp.tests.valkeys import ValkeyLog

STREAM = "socialapp:v1:events"
PASSWORDS = {"PUBLISHER_PASSWORD": "writes", "SUBSCRIBER_PASSWORD": "reads"}
NOT_FOR_SUBSCRIBERS = [
    ["XADD", STREAM, "*", "event", "forged"],
    ["XTRIM", STREAM, "MAXLEN", "0"],
    ["XDEL", STREAM, "0-1"],
    ["DEL", STREAM],
    ["XGROUP", "DESTROY", STREAM, "another-team"],
    ["XGROUP", "SETID", STREAM, "another-team", "$"],
    ["GET", "another:key"],
    ["FLUSHALL"],
    ["CLIENT", "KILL", "TYPE", "normal"],
]
NOT_FOR_THE_PUBLISHER = [["XRANGE", STREAM, "-", "+"], ["XADD", "another:key", "*", "a", "b"], ["FLUSHALL"]]


class Server(ValkeyLog):
    """Its default user is off: it is asked as a subscriber."""

    def client(self) -> Redis:
        return Redis(port=self.port, username="subscriber", password="reads", socket_timeout=2)


@pytest.fixture(scope="module")
def server(servers, tmp_path_factory) -> Server:
    folder = tmp_path_factory.mktemp("users")
    users = folder / "users.acl"
    users.write_text(filled_in((CHECKOUT / "deploy/valkey/events.acl").read_text(), PASSWORDS))
    started = Server(binaries.valkey(), folder)
    started.start(aclfile=str(users))
    yield started
    started.kill()


@pytest.fixture(autouse=True)
def published(server, settings, subscribed, happen):
    """Thirty events and more, published as the publisher's user."""
    url = f"redis://socialapp_publisher:writes@127.0.0.1:{server.port}/0"
    settings.CACHES = settings.CACHES | {"event_stream": caches.valkey(url, timeout=3)}
    run = subscribed(streams.publish)
    happen()
    run()


def test_a_subscriber_reads_in_its_group_and_takes_over_what_a_dead_reader_has_left(server):
    reader = server.client()
    reader.xgroup_create(STREAM, "team", id="0")
    left = reader.xreadgroup("team", "dies", {STREAM: ">"}, count=10)
    assert left and reader.xpending(STREAM, "team")["pending"] == 10
    _, taken, _ = reader.xautoclaim(STREAM, "team", "lives", min_idle_time=0)
    assert len(taken) == 10
    assert reader.xack(STREAM, "team", *(entry_id for entry_id, _ in taken)) == 10


@pytest.mark.parametrize("command", NOT_FOR_SUBSCRIBERS, ids=str)
def test_a_subscriber_may_not(server, command):
    with pytest.raises(NoPermissionError):
        server.client().execute_command(*command)


@pytest.mark.parametrize("command", NOT_FOR_THE_PUBLISHER, ids=str)
def test_the_publisher_may_not(server, command):
    client = Redis(port=server.port, username="socialapp_publisher", password="writes", socket_timeout=2)
    with pytest.raises(NoPermissionError):
        client.execute_command(*command)
