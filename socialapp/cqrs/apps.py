"""Loads every domain's commands, handlers, events and consumers, so that registries are whole at start-up."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class CqrsConfig(AppConfig):
    name = "socialapp.cqrs"
    label = "cqrs"
    verbose_name = "Commands and events"

    def ready(self):
        from socialapp.cqrs import commands

        autodiscover_modules("commands", "events", "handlers", "fragments", "consumers")
        commands.check_handlers()
