"""Celery's app, in whose worker processes functions are deadly, as in `mortal`: each line of DEATHS is one."""

import os

from celery.signals import worker_process_init

from config.celery import app
from socialapp.tests.kernel import mortal

__all__ = ["app"]


@worker_process_init.connect
def arrange(**_):
    for death in os.environ.get("DEATHS", "").splitlines():
        mortal.patch(death)
