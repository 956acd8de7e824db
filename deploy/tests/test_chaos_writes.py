"""Faults under load cost no accepted write: `make chaos` in short, on the session's own stack."""

import secrets
from contextlib import nullcontext

import psycopg
import pytest

from deploy.chaos import effects, writes
from deploy.chaos.verdict import judge
from deploy.chaos.watch import Watch
from deploy.chaos.writers import Writers, sign_up

# Some hundred writes before, during and after a fault; seconds.
HOLD, AROUND, CLIENTS = 2.0, 0.75, 8

FAULTS = ("process 1 of worker-1 killed", "write-1 killed", "valkey-log killed", "postgres-primary killed")

# Of the rows of one user: a comment goes, a post comes twice, another one's text is an old one.
PLANTED = """
    WITH mine AS (SELECT * FROM posts_post WHERE author_id = %(actor)s ORDER BY id),
    gone AS (DELETE FROM posts_comment WHERE id = (
        SELECT id FROM posts_comment WHERE author_id = %(actor)s AND deleted_at IS NOT NULL LIMIT 1)),
    twice AS (INSERT INTO posts_post
        (id, author_id, text, hashtags, created_at, like_count, comment_count, version, sequence)
        SELECT gen_random_uuid(), author_id, text, hashtags, created_at, 0, 0, 1, 1
        FROM mine WHERE version = 1 AND text LIKE '%% post 1')
    UPDATE posts_post SET text = split_part(text, ' / ', 1) || ' / edit 0'
    WHERE id = (SELECT id FROM mine WHERE version > 2)
"""
# Whether there are such rows: on a busy machine few writes are made in a moment.
THERE = """
    SELECT EXISTS (SELECT FROM posts_comment WHERE author_id = %(actor)s AND deleted_at IS NOT NULL)
       AND EXISTS (SELECT FROM posts_post WHERE author_id = %(actor)s AND version = 1 AND text LIKE '%% post 1')
       AND EXISTS (SELECT FROM posts_post WHERE author_id = %(actor)s AND version > 2)
"""
MOST_ROUNDS = 10


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_no_accepted_write(stack, name):
    row = writes.measure(stack, name, writes.kills(stack)[name], hold=HOLD, around=AROUND, clients=CLIENTS)
    assert row.wrong == 0, row
    assert row.accepted > 50, row


def test_what_is_planted_is_found(stack):
    at, primary = f"http://127.0.0.1:{stack.port}", writes.primary(stack)
    crowd = sign_up(at, secrets.token_hex(4), number=2, hot=1)
    writers, actor = Writers(at, crowd), {"actor": crowd[1].actor}
    with Watch(primary, writers.ledger).watching(), psycopg.connect(primary, autocommit=True) as connection:
        for _ in range(MOST_ROUNDS):
            writes.load(writers, nullcontext, hold=HOLD, around=AROUND)
            writes.wait_until_applied(writers.ledger)
            if connection.execute(THERE, actor).fetchone() == (True,):
                break
    clean = judge(writers.ledger, effects.read(primary, writers.ledger))
    with psycopg.connect(primary) as connection:
        connection.execute(PLANTED, actor)
    planted = judge(writers.ledger, effects.read(primary, writers.ledger))
    assert (clean.lost, clean.doubled, clean.disordered) == ([], [], [])
    assert [len(found) for found in (planted.lost, planted.doubled, planted.disordered)] == [1, 1, 1], planted
