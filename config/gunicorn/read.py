"""The read pool: greenlets. A cache hit mostly waits for Valkey, and a greenlet switch is what that costs least.

Measured on one server: gevent 2,000 hits per second, gthread and sync 1,300 (`python -m deploy.bench.read_hit`).
"""

import os

from config.gunicorn.pool import *  # noqa: F403 gunicorn reads its settings as this module's names

worker_class = os.environ.get("GUNICORN_WORKER_CLASS", "gevent")
# Each may hold a connection to a database; more than these wait in the listen queue.
worker_connections = 512
