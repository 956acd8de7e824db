"""Processes whose own clock is days off: what they decide goes by the clock of the primary."""

import json
import secrets
import time
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db.models.functions import Now

from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs import consumers, heartbeat, server_time
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.models import ConsumerOffset
from socialapp.identity import signing
from socialapp.tests import crashes

TWO_DAYS = 2 * 86400
# What a server of the write pool does for its first two clients.
WRITE = """
import json
from django.test import Client
def post(path, document, **headers):
    where = {{"HTTP_HOST": "localhost"}} | headers
    answer = Client().post(path, json.dumps(document), content_type="application/json", **where)
    assert answer.status_code in (200, 201, 202), answer.content
    return answer.json()
account = {{"username": "{name}", "password": "correct horse battery"}}
post("/api/v1/auth/register", account)
token = post("/api/v1/auth/token", account)["access"]
print(post("/api/v1/posts", {{"text": "when?"}}, HTTP_AUTHORIZATION=f"Bearer {{token}}")["resource"]["id"])
"""
AS_WRITER = "import os\nos.environ['SOCIALAPP_ROLE'] = 'write'\n"
# What a process says that has looked at the primary once.
SAY = """
import json
from uuid import uuid4
from socialapp.cqrs import heartbeat, servers
from socialapp.cqrs.consistency import MOST_PENDING, Token
from socialapp.cqrs.ids import new_id
from socialapp.identity import signing
servers.look("default")
def verified(token):
    try:
        return signing.verify_access(token)["username"]
    except signing.InvalidToken as error:
        return type(error).__name__
full = Token(pending=tuple(new_id() for _ in range(MOST_PENDING + 1)))
print(json.dumps({{
    "silence": heartbeat.silence(),
    "lost_at": Token.decode(full.encode()).lost_at,
    "remembers": bool(Token(lost_at={lost_at}).without_old_losses().lost_at),
    "forgets": not Token(lost_at={lost_at} - 4000).without_old_losses().lost_at,
    "signed": signing.sign_access(user_id=uuid4(), username="x", is_staff=False),
    "good": verified("{good}"),
    "over": verified("{over}"),
}}))
"""
# What an operator's command decides.
DECIDE = """
import json
from socialapp.cqrs import lanes, partitions
from socialapp.cqrs.lanes import LaneBusy
try:
    lanes.spread("cache")
except LaneBusy:
    print(json.dumps([one.name for one in partitions.expired(months=1)]))
"""

both_ways = pytest.mark.parametrize("by", [TWO_DAYS, -TWO_DAYS])


def run(code: str, by: float, before: str = "") -> str:
    return crashes.run(code, before=before + crashes.CLOCK_OFF.format(by=by)).strip()


def seconds_of(identifier: UUID) -> float:
    """Since the epoch, from a UUIDv7."""
    return (identifier.int >> 80) / 1000


@both_ways
def test_ids_of_a_web_server_are_dated_by_the_primary(servers, drain_all, by):
    """Lists are sorted by ids: a post of the day after tomorrow would stay at their top for two days."""
    name = f"user_{secrets.token_hex(6)}"
    post = run(WRITE.format(name=name), by, AS_WRITER)
    drain_all()
    for made in (User.objects.get(username=name).pk, Post.objects.get(pk=post).pk):
        assert abs(seconds_of(made) - time.time()) < 30


def access_token(monkeypatch, *, ago: int) -> str:
    """One that was given out so many seconds ago."""
    with monkeypatch.context() as patched:
        then = server_time.nanoseconds() - ago * 10**9
        patched.setattr(server_time, "nanoseconds", lambda: then)
        return signing.sign_access(user_id=uuid4(), username="x", is_staff=False)


@both_ways
def test_what_is_said_to_clients_goes_by_the_primary(servers, monkeypatch, by):
    heartbeat.beat()
    now = int(time.time())
    good, over = access_token(monkeypatch, ago=60), access_token(monkeypatch, ago=signing.ACCESS_LIFETIME + 60)
    said = json.loads(run(SAY.format(lost_at=now - 60, good=good, over=over), by))
    assert 0 <= said["silence"] < 30
    assert said["lost_at"] == pytest.approx(now, abs=30)
    assert said["remembers"] and said["forgets"]
    assert signing.verify_access(said["signed"])["exp"] == pytest.approx(now + signing.ACCESS_LIFETIME, abs=30)
    assert (said["good"], said["over"]) == ("x", "ExpiredToken")
    assert Token(lost_at=now).without_old_losses().lost_at == now


def test_an_operators_command_goes_by_the_primary(servers):
    """A lane that somebody holds is not divided, and no event partition is too old that has just ended."""
    consumers.create_offsets(consumers.declared()["cache"])
    lane = ConsumerOffset.objects.filter(consumer="cache").first()
    until = Now() + timedelta(minutes=1)
    ConsumerOffset.objects.filter(pk=lane.pk).update(lease_owner=uuid4(), lease_until=until)
    try:
        assert json.loads(run(DECIDE, 400 * 86400)) == []
    finally:
        ConsumerOffset.objects.filter(pk=lane.pk).update(lease_owner=None, lease_until=None)
