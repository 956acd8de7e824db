"""librdkafka's mock cluster in a process of its own, so that it can be frozen and killed as a real one can."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer

MOCK = """
import sys
from confluent_kafka import Producer
cluster = Producer({"test.mock.num.brokers": 3, "bootstrap.servers": "unused"})
brokers = cluster.list_topics(timeout=10).brokers.values()
print(",".join(f"{broker.host}:{broker.port}" for broker in brokers), flush=True)
sys.stdin.read()
"""


@dataclass
class Brokers:
    servers: str
    process: subprocess.Popen

    @contextmanager
    def frozen(self) -> Iterator[None]:
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def read(self, topic: str, number: int) -> list:
        """The next messages, until `number` different events or none for ten seconds; a partition's in its order.

        An event may come twice: what was sent with one that is refused is sent again without it.
        """
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": topic, "auto.offset.reset": "earliest"})
        consumer.subscribe([topic])
        found, known = [], set()
        try:
            while len(known) < number and (messages := consumer.consume(number - len(known), timeout=10)):
                found += [message for message in messages if not message.error()]
                known = {dict(message.headers())["ce_id"] for message in found}
        finally:
            consumer.close()
        return found


@contextmanager
def mock_brokers() -> Iterator[Brokers]:
    process = subprocess.Popen([sys.executable, "-c", MOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Brokers(process.stdout.readline().strip(), process)
    finally:
        process.kill()
        process.communicate()
