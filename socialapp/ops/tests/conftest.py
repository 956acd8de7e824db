"""Fixtures of management commands, run inside this process against real servers."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command
from redis import Redis

from socialapp.cqrs import cache, valkey
from socialapp.tests.conftest import author, clean_stores, drain_all  # noqa: F401 fixtures


@pytest.fixture
def run(servers) -> Callable[..., str]:
    """Run a command; returns all that it said."""

    def run_command(*arguments: str, **options) -> str:
        said = StringIO()
        call_command(*arguments, stdout=said, stderr=said, **options)
        return said.getvalue()

    return run_command


@pytest.fixture
def empty_cache(servers):
    list(cache.forget())
    return valkey.read_cache()


@pytest.fixture
def no_cache(servers, monkeypatch, tmp_path):
    """A read cache that cannot be reached."""
    nowhere = Redis(unix_socket_path=str(tmp_path / "nowhere.sock"))
    monkeypatch.setattr(valkey, "read_cache", lambda: nowhere)
