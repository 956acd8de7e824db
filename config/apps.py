"""Makes Celery's app the current one in every process that sets Django up: pools, workers, commands and tests."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self):
        from config import celery  # noqa: F401 its import registers the app
