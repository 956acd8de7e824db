"""What both pools share. Each pool's file imports it and adds its own sizes."""

import gc
import os

from gunicorn import util

from config.gunicorn.refusals import write_problem

util.write_error = write_problem

workers = int(os.environ.get("GUNICORN_WORKERS", "1"))
threads = int(os.environ.get("GUNICORN_THREADS", "16"))
timeout = 30
graceful_timeout = 10
keepalive = 75
# A leak never grows old; the jitter keeps the workers of a pool from leaving at once.
max_requests = 200_000
max_requests_jitter = 20_000
# The heartbeat file on a disk would make a slow disk look like a dead worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
# Two pools on one machine would fight for the one control socket.
control_socket_disable = True
# Headers as nginx lets them through (lines of 16k, 32k in all), so that it is the gateway that refuses more; but not
# such addresses.
limit_request_line = 8190
limit_request_fields = 1100
limit_request_field_size = 16384
# Only the gateway talks to a pool, over a socket that no other user can reach.
forwarded_allow_ips = "*"
accesslog = None


def post_worker_init(worker) -> None:  # noqa: ARG001 gunicorn's own signature
    """What has been loaded stays: looking through it for garbage would stop all threads for 50 ms now and then."""
    gc.collect()
    gc.freeze()
