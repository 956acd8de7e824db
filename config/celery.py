"""The Celery app: drains of the command log, event consumers and the ticks of beat."""

import os

from celery import Celery
from celery.signals import task_prerun

from socialapp.cqrs import broker
from socialapp.ops.liveness import Liveness

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

broker.install()
app = Celery("socialapp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["socialapp.cqrs", "socialapp.ops", "socialapp.accounts", "orders.payments"])
app.steps["worker"].add(Liveness)


@task_prerun.connect
def close_old_connections(**_):
    """As Django does before each request: what is broken or too old is made anew, the rest is kept."""
    from django.db import close_old_connections

    close_old_connections()
