"""The kernel's tables for operators: nothing is written but by commands.

Staff see everything and may use the commands that a page offers; a page may ask for more.
"""

import json

from django.contrib import admin

from socialapp.cqrs.admin import consumers, dead_letters  # noqa: F401 they register their pages
from socialapp.cqrs.admin.base import CommandAdmin, ReadOnlyAdmin, preformatted
from socialapp.cqrs.models import CommandResult, Event, Heartbeat, InboxClock, InboxCommand, LogGeneration, Timeline

__all__ = ["CommandAdmin", "ReadOnlyAdmin"]

admin.site.site_header = admin.site.site_title = "socialapp"
admin.site.index_title = "Operations"
admin.site.site_url = "/api/v1/"
# Tables full of ids need its room.
admin.site.enable_nav_sidebar = False


@admin.register(CommandResult)
class CommandResultAdmin(ReadOnlyAdmin):
    list_display = ["id", "type", "outcome", "resource_id", "accepted_at"]
    list_filter = ["outcome", "type", "accepted_at"]
    search_fields = ["=idempotency_key"]
    search_ids = ("pk", "actor_id", "resource_id")
    search_help_text = "An id of a command, a resource or an actor, or an idempotency key"
    ordering = ["-id"]
    fields = [
        "id", "type", "outcome", "shown_problem", "resource_type", "resource_id", "actor_id",
        "idempotency_key", "accepted_at", "applied_at",
    ]  # fmt: skip

    @admin.display(description="problem")
    def shown_problem(self, result):
        return preformatted(result.problem)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["position", "time", "type", "aggregate_id", "aggregate_version"]
    list_filter = ["type", "aggregate", "time"]
    search_fields = ["=type"]
    search_ids = ("aggregate_id", "command_id")
    search_help_text = "An id of an aggregate or a command, or a type"
    ordering = ["-position"]
    fields = [
        "position", "xid", "time", "type", "version", "aggregate", "aggregate_id", "aggregate_version",
        "shown_payload", "command_id",
    ]  # fmt: skip

    @admin.display(description="payload")
    def shown_payload(self, event):
        return preformatted(event.payload)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["id", "time", "timeline", "position"]


@admin.register(Timeline)
class TimelineAdmin(ReadOnlyAdmin):
    list_display = ["timeline", "position"]


@admin.register(InboxCommand)
class InboxCommandAdmin(ReadOnlyAdmin):
    list_display = ["id", "type", "partition", "stamp", "resource_id"]
    list_filter = ["partition", "type"]
    search_ids = ("pk", "actor_id", "resource_id")
    search_help_text = "An id of a command, a resource or an actor"
    ordering = ["partition", "stamp"]
    fields = ["id", "type", "partition", "stamp", "resource_type", "resource_id", "actor_id", "shown_body"]

    @admin.display(description="command as accepted")
    def shown_body(self, command):
        return preformatted(json.loads(command.body))


@admin.register(InboxClock)
class InboxClockAdmin(ReadOnlyAdmin):
    list_display = ["partition", "stamp"]


@admin.register(LogGeneration)
class LogGenerationAdmin(ReadOnlyAdmin):
    list_display = ["partition", "last_id", "waiting", "loss", "lost_at"]
