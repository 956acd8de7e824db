"""At most EMAILS_PER_SECOND over all workers, by the clock of a real Valkey. Load makes it slower, never faster."""

import math
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from deploy.embedded.ground import free_port
from socialapp.cqrs import valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.mail import rate
from socialapp.mail.rate import SENDERS
from socialapp.tests.fixtures import CHECKOUT

pytestmark = pytest.mark.usefixtures("clean_stores")

RATE = 50
SLOTS = 45
EACH = 30

# A worker that has EACH emails to send; it prints when each went out, in microseconds of the store's clock.
WORKER = """
import sys
import django; django.setup()
from socialapp.mail import rate
from socialapp.cqrs import valkey
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    rate.wait()
    seconds, microseconds = valkey.state().time()
    print(seconds * 1_000_000 + microseconds)
"""


def most_within(times: list[int], window: int) -> int:
    """The most of the sorted times that lie within so many microseconds."""
    return max(sum(start <= time < start + window for time in times) for start in times)


def test_processes_together_keep_the_rate(servers):
    command = [sys.executable, "-c", WORKER, str(EACH)]
    environment = os.environ | {"EMAILS_PER_SECOND": str(RATE), "DJANGO_SETTINGS_MODULE": "config.settings"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, cwd=CHECKOUT, env=environment, **pipes) for _ in range(SENDERS)]
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    sent = sorted(int(line) for worker in workers for line in worker.communicate(timeout=120)[0].split())
    assert len(sent) == SENDERS * EACH
    for window in (200_000, 1_000_000, 2_000_000):
        # Whoever was stopped between its slot and its email is late with one: as many as there are processes.
        assert most_within(sent, window) <= math.ceil(SLOTS * window / 1_000_000) + SENDERS
    assert most_within(sent, 1_000_000) <= RATE


@pytest.mark.parametrize(("emails", "slots"), [(1, 1), (10, 9), (50, SLOTS), (1000, 995)])
def test_the_slots_leave_room_for_who_is_late(settings, emails, slots):
    settings.EMAILS_PER_SECOND = emails
    assert rate.slots_per_second() == slots


def test_no_two_get_one_slot(settings):
    settings.EMAILS_PER_SECOND = RATE
    client = valkey.state()

    def slot(_) -> tuple[float, float]:
        """Between which two times it is, as the store's clock is read before and after."""
        before = now(client)
        wait = rate.take()
        return before + wait, now(client) + wait

    with ThreadPoolExecutor(8) as pool:
        slots = sorted(pool.map(slot, range(100)))
    assert slots[-1][1] - slots[0][0] >= 99 / SLOTS


def now(client) -> float:
    seconds, microseconds = client.time()
    return seconds + microseconds / 1_000_000


def test_an_idle_time_is_not_made_up_for(settings):
    """No burst: what was not sent is not owed."""
    settings.EMAILS_PER_SECOND = RATE
    client = valkey.state()
    client.set(rate.KEY, int(now(client) - 3600) * 1_000_000)
    began = now(client)
    assert rate.take() == 0
    assert int(client.get(rate.KEY)) / 1_000_000 >= began + 1 / SLOTS


def test_a_clock_that_was_set_back_stops_nobody(settings):
    settings.EMAILS_PER_SECOND = RATE
    client = valkey.state()
    client.set(rate.KEY, int(now(client) + 3600) * 1_000_000)
    assert rate.take() == 0


def test_without_the_store_each_process_keeps_a_tenth(settings, monkeypatch):
    settings.EMAILS_PER_SECOND = RATE
    gone = Redis(port=free_port(), socket_connect_timeout=0.1)
    monkeypatch.setattr(rate.valkey, "state", lambda: gone)
    monkeypatch.setattr(rate, "_breaker", Breaker(open_for=(0, 0), probe=0))
    monkeypatch.setattr(rate, "_alone", rate.Pace())
    began = time.monotonic()
    waits = [rate.take() for _ in range(6)]
    # Slots of 0.2 s, less what the calls themselves took.
    assert waits[0] == 0 and all(0 <= wait <= 0.2 * place for place, wait in enumerate(waits))
    assert rate._alone._next >= began + 6 * 0.2
