"""The kernel's tables for operators, and the base of all admin pages: nothing is written but by commands.

Staff see everything and may use the commands that a page offers; a page may ask for more.
"""

import json
from collections.abc import Callable
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Model, Q
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.html import format_html

from socialapp.cqrs.execute import execute
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.models import (
    CommandResult,
    ConsumerOffset,
    DeadLetter,
    Event,
    Heartbeat,
    InboxClock,
    InboxCommand,
    ParkedEvent,
    Timeline,
)
from socialapp.cqrs.problems import Problem

admin.site.site_header = admin.site.site_title = "socialapp"
admin.site.index_title = "Operations"
admin.site.site_url = "/api/v1/"
# Tables full of ids need its room.
admin.site.enable_nav_sidebar = False


def preformatted(value: object) -> str:
    """A traceback, or a JSON document with its lines."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html("<pre>{}</pre>", text)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows a table. Counting millions of rows for a page number is not worth an operator's time.

    search_ids: UUID columns, looked up by their indexes; search_fields are searched for words.
    """

    show_full_result_count = False
    list_per_page = 50
    search_ids: tuple[str, ...] = ("pk",)

    def has_module_permission(self, request):
        return request.user.is_staff

    def has_view_permission(self, request, obj=None):
        return request.user.is_staff

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_search_results(self, request, queryset, search_term):
        try:
            identifier = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(Q(*((name, identifier) for name in self.search_ids), _connector=Q.OR)), False


class CommandAdmin(ReadOnlyAdmin):
    """Saves through commands: subclasses name the fields that a command can change."""

    editable: tuple[str, ...] = ()
    # Named by each page: a column that is added to a table, say a password, does not show by itself.
    fields: list[str]

    def change_command(self, obj: Model) -> object:
        """The command that brings the row into the state of the form."""
        raise NotImplementedError

    def has_change_permission(self, request, obj=None):
        return request.user.is_staff

    def get_readonly_fields(self, request, obj=None):
        return [field.name for field in self.model._meta.fields if field.name not in self.editable]

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        """Not in Django's transaction around a page: a command is one of its own, committed or refused."""
        return self.refusable(request, lambda: self._changeform_view(request, object_id, form_url, extra_context))

    def delete_view(self, request, object_id, extra_context=None):
        return self.refusable(request, lambda: self._delete_view(request, object_id, extra_context))

    def changelist_view(self, request, extra_context=None):
        show = super().changelist_view
        return self.refusable(request, lambda: show(request, extra_context))

    def refusable(self, request, respond: Callable[[], HttpResponse]) -> HttpResponse:
        """The page, or the same page again with the reason why its command was refused."""
        try:
            response = respond()
        except Problem as problem:
            self.message_user(request, problem.detail or problem.title, messages.ERROR)
            response = HttpResponseRedirect(request.get_full_path())
        if request.method == "POST" and request.consistency_token:
            remember(request, response, request.consistency_token)
        return response

    def save_model(self, request, obj, form, change):
        self.run(request, self.change_command(obj), obj)

    def run(self, request, command: object, obj: Model) -> None:
        """Execute a command as the operator, who then sees its effect everywhere. Raises the Problem of a refusal."""
        token = request.consistency_token
        request.consistency_token = execute(command, actor_id=request.user.pk, resource_id=obj.pk, token=token).token


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


@admin.register(ConsumerOffset)
class ConsumerOffsetAdmin(ReadOnlyAdmin):
    list_display = ["consumer", "position", "xid", "updated_at", "lease_owner", "lease_until"]
    search_fields = ["consumer"]
    search_ids = ("lease_owner",)


@admin.register(ParkedEvent)
class ParkedEventAdmin(ReadOnlyAdmin):
    list_display = ["event_position", "consumer", "parked_at", "first_line"]
    list_filter = ["consumer", "parked_at"]
    search_fields = ["=event_position", "error"]
    search_ids = ()
    fields = ["event_position", "consumer", "parked_at", "shown_error"]

    @admin.display(description="error")
    def first_line(self, parked):
        return parked.error.strip().rpartition("\n")[2][:200]

    @admin.display(description="error")
    def shown_error(self, parked):
        return preformatted(parked.error)


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ["command_id", "type", "partition", "error", "attempts", "buried_at"]
    list_filter = ["type", "partition", "buried_at"]
    search_fields = ["error"]
    search_help_text = "An id of a command, or a part of an error"
    ordering = ["-buried_at"]
    fields = [
        "command_id", "type", "partition", "attempts", "buried_at", "error", "shown_traceback", "shown_envelope",
    ]  # fmt: skip

    @admin.display(description="traceback")
    def shown_traceback(self, letter):
        return preformatted(letter.traceback)

    @admin.display(description="command as accepted")
    def shown_envelope(self, letter):
        return preformatted(letter.envelope)


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
