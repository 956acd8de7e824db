"""A replicated log: 202 means on the disks of its replicas, too."""

import pytest

from config.settings import caches
from deploy.embedded import binaries
from posts.commands import CreatePost
from posts.models import Post
from socialapp.cqrs import keys, log, outcomes
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.submit import submit
from socialapp.tests.valkeys import ValkeyLog, valkey_cluster, valkey_log, wait_until


@pytest.fixture
def primary(servers, tmp_path) -> ValkeyLog:
    (tmp_path / "primary").mkdir()
    # By default it waits five seconds for further replicas before it sends its data.
    with valkey_log(binaries.valkey(), tmp_path / "primary", **{"repl-diskless-sync-delay": "0"}) as server:
        yield server


@pytest.fixture
def replica(primary, tmp_path) -> ValkeyLog:
    (tmp_path / "replica").mkdir()
    with valkey_log(binaries.valkey(), tmp_path / "replica", replicaof=f"127.0.0.1 {primary.port}") as server:
        wait_until(lambda: server.client().info("replication")["master_link_status"] == "up")
        yield server


@pytest.fixture(autouse=True)
def replicated(primary, replica, settings, monkeypatch, clean_stores):
    settings.CACHES = settings.CACHES | {"command_log": caches.valkey(primary.url, timeout=2)}
    settings.LOG_REPLICAS = 1
    monkeypatch.setattr("socialapp.cqrs.submit.breaker", Breaker(open_for=(0, 0), probe=0))
    monkeypatch.setattr(outcomes, "_breaker", Breaker(open_for=(0, 0), probe=0))


def test_what_was_answered_is_on_the_replica(primary, replica, author):
    accepted = submit(CreatePost("on two disks"), actor_id=author)
    primary.kill()
    replica.kill()
    replica.start()
    assert replica.client().xlen(keys.stream(partition_of(accepted.command_id))) == 1


def test_without_the_replica_a_write_goes_to_the_inbox(replica, author, drain_all, monkeypatch):
    monkeypatch.setattr(log, "REPLICATION_TIMEOUT", 100)
    replica.kill()
    accepted = submit(CreatePost("once"), actor_id=author)
    assert InboxCommand.objects.filter(pk=accepted.command_id).exists()
    assert log.backlog(partition_of(accepted.command_id)) == 2, "the log itself has it, too"
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


def test_a_full_log_refuses(author, settings):
    settings.LOG_MOST_WAITING = 0
    with pytest.raises(log.Full):
        log.append(Envelope(new_id(), CreatePost("no room"), author, new_id()), after_stamp=0)


def test_on_a_cluster_the_partitions_own_node_is_asked(author, settings, monkeypatch, tmp_path):
    monkeypatch.setattr(log, "REPLICATION_TIMEOUT", 100)
    with valkey_cluster(binaries.valkey(), tmp_path) as nodes:
        settings.CACHES = settings.CACHES | {"command_log": caches.valkey(nodes.url, timeout=2)}
        for node in range(3):
            nodes.client(node).config_set("appendonly", "yes")
        for partition in range(16):
            envelope = Envelope(new_id(partition), CreatePost("alone"), author, new_id(partition))
            with pytest.raises(log.NotReplicated):
                log.append(envelope, after_stamp=0)
        assert log.waiting_partitions() == list(range(16))
