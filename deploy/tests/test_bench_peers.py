"""The peers that `make bench` compares with start: they use modules of the project with settings of their own."""

import os
import subprocess
import sys

import pytest

from deploy.tests.conftest import CHECKOUT

IMPORTED = "import django; django.setup(); import deploy.bench.peers.urls, deploy.bench.peers.tasks"


@pytest.mark.parametrize("peer", ["naive", "writes"])
def test_a_peer_can_be_imported(servers, peer):
    environment = os.environ | servers.environment("worker")
    environment |= {"PEER": peer, "DJANGO_SETTINGS_MODULE": "deploy.bench.peers.settings"}
    environment["PEER_BROKER_URL"] = environment["STATE_URL"]
    command = [sys.executable, "-c", IMPORTED]
    run = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
