"""Stamps of tokens: only processes that may write can give one, and readers pass it on."""

import time
from dataclasses import replace

import orjson
import pytest
from django.core import signing

from socialapp.cqrs import consistency
from socialapp.cqrs.consistency import BadToken, Token
from socialapp.cqrs.ids import new_id

STAMP = int(time.time() * 1e6)


@pytest.fixture
def as_reader(settings):
    """as_reader(call) runs it with the keys that the read role has."""

    def run(call):
        held, settings.STAMP_KEYS = settings.STAMP_KEYS, []
        try:
            return call()
        finally:
            settings.STAMP_KEYS = held

    return run


def signed(*fields) -> str:
    """By whoever knows SECRET_KEY."""
    return consistency._signer.sign(signing.b64_encode(orjson.dumps(fields)).decode())


def test_a_stamp_survives_the_read_pool(as_reader):
    given, earlier = Token(1, 5, STAMP, (new_id(),)).encode(), Token(1, 9, STAMP - 7).encode()
    answered = as_reader(lambda: Token.decode(given).merged(Token.decode(earlier)).without([]).encode())
    assert Token.decode(answered) == Token(1, 9, STAMP, Token.decode(given).pending)


def test_a_reader_cannot_give_a_stamp(as_reader):
    command = new_id()
    made = as_reader(lambda: Token(1, 5, STAMP, (command,)).encode())
    assert Token.decode(made) == Token(1, 5, 0, (command,)), "what only decides about reads is kept"
    assert Token.decode(signed(1, 5, STAMP, [], {}, 0, "0" * 32)).stamp == 0


def test_a_reader_cannot_move_the_proof_to_a_later_stamp(as_reader):
    given = Token(1, 5, STAMP).encode()
    raised = as_reader(lambda: replace(Token.decode(given), stamp=STAMP + 1).encode())
    assert Token.decode(raised).stamp == 0


def test_a_stamp_outlives_its_key_while_that_is_a_fallback(settings):
    token = Token(1, 5, STAMP)
    given, former = token.encode(), settings.STAMP_KEYS
    settings.STAMP_KEYS = ["another", *former]
    assert Token.decode(given) == token and Token.decode(token.encode()) == token
    settings.STAMP_KEYS = ["another"]
    assert Token.decode(given) == Token(1, 5)


@pytest.mark.parametrize("fields", [(1, 5, STAMP, [], {}), (1, 5, STAMP, [], {}, 7)])
def test_a_token_of_an_earlier_deploy_is_good_but_for_its_stamp(fields):
    assert Token.decode(signed(*fields)) == Token(1, 5, lost_at=fields[5] if len(fields) > 5 else 0)


@pytest.mark.parametrize("proof", [5, None, ["x"], "é"])
def test_a_proof_is_text(proof):
    with pytest.raises(BadToken):
        Token.decode(signed(1, 5, STAMP, [], {}, 0, proof))
