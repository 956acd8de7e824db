"""A RabbitMQ of a test's own, from Debian's package, with its data, names and ports apart from any other."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kombu import Connection
from kombu.exceptions import OperationalError

from deploy.embedded.ground import free_port

# Debian's /usr/sbin/rabbitmq-server runs this as the user of the system's service.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
STARTS_WITHIN = 60


class Rabbit:
    """url: for BROKER_URL."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._ports = [free_port() for _ in range(3)]
        self.url = f"amqp://guest:guest@127.0.0.1:{self._ports[0]}//"
        self._process: subprocess.Popen | None = None

    @property
    def _environment(self) -> dict[str, str]:
        port, cluster_port, names_port = map(str, self._ports)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": port,
            "RABBITMQ_DIST_PORT": cluster_port,
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "none"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "ERL_EPMD_PORT": names_port,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # It may be ended although the node that has just been killed is still in its books.
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
        }

    def start(self) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([SERVER], env=self._environment, start_new_session=True, **quiet)
        deadline = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            assert time.monotonic() < deadline, "RabbitMQ does not start"
            time.sleep(0.2)

    def kill(self) -> None:
        """With all that it has started, as when its machine goes away."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    def stop(self) -> None:
        self.kill()
        # Erlang's register of names leaves the group that it was started from.
        subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True, timeout=10, check=False)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except (OSError, OperationalError):
            return False
        return True


@contextmanager
def rabbitmq(folder: Path) -> Iterator[Rabbit]:
    rabbit = Rabbit(folder)
    rabbit.start()
    try:
        yield rabbit
    finally:
        rabbit.stop()
