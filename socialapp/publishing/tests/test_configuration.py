"""Without a server to publish to there is no consumer, and so no offset that would hold old events back."""

import os
import subprocess
import sys

import pytest

DECLARED = "import django; django.setup(); from socialapp.cqrs import consumers; print(*sorted(consumers.declared()))"


@pytest.mark.parametrize(
    ("configured", "publishing"),
    [
        ({}, set()),
        ({"EVENTS_STREAM_URL": "redis://127.0.0.1:1/0"}, {"publish-stream"}),
        ({"EVENTS_KAFKA_SERVERS": "127.0.0.1:1"}, {"publish-kafka"}),
    ],
)
def test_what_is_configured_is_declared(servers, configured, publishing):
    found = subprocess.run(
        [sys.executable, "-c", DECLARED], env=os.environ | configured, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr
    assert set(found.stdout.split()) == {"cache", "emails", "payments", "post-counts"} | publishing
