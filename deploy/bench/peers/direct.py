"""The statements of the synchronous like without HTTP: `python -m deploy.bench.peers.direct 4` has so many processes
like what the lines "user post" on its standard input say."""

import os
import sys
from multiprocessing import Process
from uuid import UUID

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "deploy.bench.peers.settings"


def work(lines: list[str]) -> None:
    django.setup()
    from deploy.bench.peers.likes import like

    for line in lines:
        user_id, post_id = line.split()
        like(UUID(user_id), UUID(post_id))


if __name__ == "__main__":
    wanted, number = sys.stdin.readlines(), int(sys.argv[1])
    workers = [Process(target=work, args=(wanted[start::number],)) for start in range(number)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sys.exit(any(worker.exitcode for worker in workers))
