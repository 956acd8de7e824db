"""A stage for the proof: real servers held still, and actors that wait for their cue."""

import json
from pathlib import Path

import pytest
from django.db import connections
from hypothesis import settings

from socialapp.cqrs import heartbeat
from socialapp.tests.fixtures import DATABASE
from socialapp.tests.proof.actors import standing_still
from socialapp.tests.proof.servers import held
from socialapp.tests.proof.world import World
from socialapp.tests.topology import conftest as topology

settings.register_profile("chaos")
reading = topology.reading
reported: list[str] = []


def pytest_addoption(parser):
    parser.addoption("--proof-report", type=Path, help="a JSON file for what the proof reports")


@pytest.fixture
def report():
    """report(line): say something below the tests' outcome."""
    return reported.append


def pytest_terminal_summary(terminalreporter, config):
    for line in reported:
        terminalreporter.write_line(line)
    # Unknown when other folders were named on the command line.
    if path := config.getoption("--proof-report", default=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(reported, indent=1) + "\n")


@pytest.fixture(scope="module")
def table(servers):
    with connections["default"].cursor() as cursor:
        cursor.execute("CREATE TABLE proof_row (id bigint PRIMARY KEY, writes bigint NOT NULL)")
        # Readers are granted each table by name.
        cursor.execute("GRANT SELECT ON proof_row TO PUBLIC")
    heartbeat.beat()
    yield
    with connections["default"].cursor() as cursor:
        cursor.execute("DROP TABLE proof_row")


@pytest.fixture
def make_world(servers, table, reading, monkeypatch):
    """make_world(): a new World; the one before it has ended."""
    with held(servers, DATABASE) as (replica, commits), standing_still(monkeypatch):
        worlds = []

        def make() -> World:
            for earlier in worlds:
                earlier.end()
            worlds[:] = [World(replica, commits)]
            return worlds[0]

        yield make
        for last in worlds:
            last.end()
