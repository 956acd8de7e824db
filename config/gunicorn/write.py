"""The write pool: threads. Hashing a password takes the CPU for 20 ms, which would stop every greenlet beside it."""

import os

from config.gunicorn.pool import *  # noqa: F403 gunicorn reads its settings as this module's names

worker_class = os.environ.get("GUNICORN_WORKER_CLASS", "gthread")
