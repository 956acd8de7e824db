"""Handlers of different partitions lock the same users: in any order, and yet without a deadlock."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction

from posts.commands import CreatePost, LikePost
from posts.models import Like
from socialapp.accounts.commands import EditProfile, SetAccess
from socialapp.accounts.models import User
from socialapp.cqrs import apply, effects
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.submit import submit

WAITING_FOR_A_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = %s"


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("liked"), actor_id=author)
    drain_all()
    return accepted.resource_id


@pytest.fixture
def users(author) -> list:
    """Two ids, in their order."""
    ids = sorted(new_id() for _ in "12")
    for number, user_id in enumerate(ids):
        User.objects.create(pk=user_id, username=f"locked_{number}_{user_id.hex[-6:]}")
    return ids


def like(post, user) -> Envelope:
    return Envelope(new_id(partition_of(post)), LikePost(), user, post, 1)


def perform(*envelopes) -> None:
    """With the checks of foreign keys, which lock what is referenced and otherwise come with the commit."""
    effects.claim_results(list(envelopes))
    effects.perform(list(envelopes), Effects())
    connection.check_constraints()


@pytest.mark.parametrize("change", [EditProfile(name="new"), SetAccess(is_active=True, is_staff=False)])
def test_a_change_of_users_and_their_likes_do_not_deadlock(post, users, change):
    """Likes by the second user, then by the first; meanwhile both are changed, in the order of their ids."""
    began, first, second = threading.Event(), *users
    pids = []

    def change_both():
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pids.append(cursor.fetchone()[0])
            began.set()
            perform(*(Envelope(new_id(partition_of(user)), change, user, user, 1) for user in users))
        connections.close_all()

    with ThreadPoolExecutor() as pool, transaction.atomic(durable=True):
        perform(like(post, second))
        changing = pool.submit(change_both)
        assert began.wait(10)
        with connection.cursor() as cursor:
            blocked = False
            while not (changing.done() or blocked):
                cursor.execute(WAITING_FOR_A_LOCK, pids)
                blocked = cursor.fetchone()[0] > 0
        perform(like(post, first))
    changing.result(10)
    assert not blocked
    assert Like.objects.filter(post=post, active=True).count() == 2


def test_partitions_that_share_users_are_drained_side_by_side(post, users):
    """A drain holds its locks on both users while another partition's likes by them are applied."""
    other = new_id((partition_of(post) + 1) % 16)
    held, liked = threading.Event(), threading.Event()

    def edit_and_hold():
        with transaction.atomic(durable=True):
            perform(*(Envelope(new_id(partition_of(other)), EditProfile(name="n"), user, user, 1) for user in users))
            held.set()
            assert liked.wait(10)
        connections.close_all()

    with ThreadPoolExecutor() as pool:
        editing = pool.submit(edit_and_hold)
        assert held.wait(10)
        for user in users:
            submit(LikePost(), actor_id=user, resource_id=post)
        try:
            apply.drain(partition_of(post))
        finally:
            liked.set()
        editing.result(10)
    assert Like.objects.filter(post=post, active=True).count() == 2
