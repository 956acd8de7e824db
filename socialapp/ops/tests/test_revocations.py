"""Operators see whether processes know which access tokens were revoked."""

import json

import pytest
from django.test import RequestFactory

from socialapp.accounts import revoking
from socialapp.cqrs import valkey
from socialapp.cqrs.problems import Unavailable
from socialapp.identity.revocations import ROWS, STREAM, revocations
from socialapp.ops import health, metrics


@pytest.fixture(autouse=True)
def later(clean_stores, monkeypatch):
    """A second after this process looked last."""
    monkeypatch.setattr(revocations, "_refreshed_at", float("-inf"))
    monkeypatch.setattr(revocations, "_tried_at", float("-inf"))


def entry() -> dict:
    return json.loads(health.ready(RequestFactory().get("/health/ready")).content)["dependencies"]["revocations"]


def shared() -> float | None:
    return metrics.registry.get_sample_value("socialapp_revocations_shared")


def test_from_the_state_store():
    revoking.share()
    assert (entry()["status"], entry()["source"], shared()) == ("up", STREAM, 1)


def test_from_a_database_when_nobody_shares_them():
    assert (entry()["status"], entry()["source"], shared()) == ("up", ROWS, 0)


def test_from_nowhere(monkeypatch):
    def down(*_):
        raise Unavailable("no database")

    monkeypatch.setattr(valkey, "state", lambda: down_store())
    monkeypatch.setattr(revocations, "_rows", down)
    assert entry()["status"] == "down" and "503" in entry()["error"]


def down_store():
    raise ConnectionError("no state store")
