"""The Celery app: drains of the command log, event consumers and the ticks of beat."""

import os

from celery import Celery

from socialapp.ops.liveness import Liveness

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("socialapp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["socialapp.cqrs", "socialapp.ops"])
app.steps["worker"].add(Liveness)
