"""Full stores and disks, caused and then looked at as operators do."""

from collections.abc import Iterator

import pytest
from django.core.management.base import CommandError

from config.settings import caches
from deploy.embedded import binaries
from socialapp.cqrs import memory
from socialapp.ops import health
from socialapp.tests.conditions import invisible, visible
from socialapp.tests.valkeys import ValkeyLog, valkey_log

# Each with its alias in CACHES.
STORES = {"a full command log": "command_log", "a full state store": "default", "a full read cache": "read_cache"}


@pytest.fixture(scope="module")
def server(servers, tmp_path_factory) -> Iterator[ValkeyLog]:
    """One that may be full: a stack's workers need theirs."""
    with valkey_log(binaries.valkey(), tmp_path_factory.mktemp("store"), maxmemory="512mb") as own:
        yield own


@pytest.mark.parametrize("name", STORES)
def test_a_store_without_a_byte_left(clean_stores, run, server, settings, name):
    settings.CACHES = settings.CACHES | {STORES[name]: caches.valkey(server.url, timeout=2)}
    server.client().config_set("maxmemory-policy", "volatile-lru" if name == "a full read cache" else "noeviction")
    assert invisible(name)
    # More than all buffers of its clients: they shrink when a client rests for two seconds.
    with server.full(above=500_000):
        assert_visible(name)
        with pytest.raises(CommandError, match=name.removeprefix("a full ")):
            run("backlog")
    assert invisible(name)
    memory.note(0)


def assert_visible(name):
    if name == "a full command log":
        assert visible("a full command log")
    elif name == "a full state store":
        assert visible("a full state store")
    else:
        assert visible("a full read cache")


def test_a_full_disk(clean_stores, run, settings):
    assert invisible("a full disk")
    # /proc has no free bytes.
    settings.DISKS = settings.DISKS | {"uploads": "/proc"}
    assert visible("a full disk")
    with pytest.raises(CommandError, match="0 MiB are free on the disk of uploads"):
        run("backlog")


def test_a_disk_that_is_gone_has_no_room(clean_stores, settings):
    settings.DISKS = {"uploads": "/nowhere"}
    assert visible("a full disk")


def test_a_log_that_is_too_old_is_none(clean_stores, monkeypatch):
    assert "error" not in health._log()
    monkeypatch.setattr(health, "OLDEST_LOG", (99, 0))
    found = health._log()
    assert found["status"] == "down" and found["error"].startswith("LOG_URL needs Valkey")


def test_a_log_that_is_too_old_and_does_not_show_its_configuration(clean_stores, server, settings, monkeypatch):
    """As managed services are."""
    server.client().execute_command("ACL", "SETUSER", "managed", "on", "nopass", "~*", "+@all", "-config")
    url = server.url.replace("//", "//managed:any@")
    settings.CACHES = settings.CACHES | {"command_log": caches.valkey(url, timeout=2)}
    assert "error" not in health._log()
    monkeypatch.setattr(health, "OLDEST_LOG", (99, 0))
    assert health._log()["error"].startswith("LOG_URL needs Valkey")
