"""The watch for a second primary has no gaps: neither while it looks, nor after an error."""

from contextlib import contextmanager

import pytest

from socialapp.cqrs import fencing, heartbeat, servers
from socialapp.cqrs.servers import PRIMARY


def test_a_primary_is_known_while_it_is_looked_at_again(clean_stores, monkeypatch):
    known, real = [], servers.answered_within
    heartbeat.beat()
    servers.look(PRIMARY)

    @contextmanager
    def looked_at(timeout):
        known.append(PRIMARY in servers.primaries())
        with real(timeout):
            yield

    monkeypatch.setattr(servers, "answered_within", looked_at)
    servers.look(PRIMARY)
    assert known == [True]


def test_an_error_does_not_end_the_watch(monkeypatch, caplog):
    outcomes = iter([ZeroDivisionError("a bug"), SystemExit()])

    def look_around():
        raise next(outcomes)

    monkeypatch.setattr(fencing, "look_around", look_around)
    monkeypatch.setattr(fencing, "EVERY", 0)
    with pytest.raises(SystemExit):
        fencing._watch()
    assert "the split-brain watch failed" in caplog.text
