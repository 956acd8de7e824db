"""Celery as most teams use it for writes: one task per message, acknowledged once it is done.

`python -m deploy.bench.peers.tasks` queues a like for each line "user post" on its standard input.
"""

import os
import sys
from uuid import UUID

import django
from celery import Celery

os.environ["DJANGO_SETTINGS_MODULE"] = "deploy.bench.peers.settings"
django.setup()

app = Celery("peer")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task
def like(user_id: str, post_id: str) -> None:
    # Django's apps have to be loaded first.
    from deploy.bench.peers import likes

    likes.like(UUID(user_id), UUID(post_id))


if __name__ == "__main__":
    with app.producer_pool.acquire(block=True) as producer:
        for line in sys.stdin:
            app.send_task("deploy.bench.peers.tasks.like", line.split(), producer=producer)
