"""The kernel's tables for operators, and the base of all admin pages: nothing is written but by commands."""

from django.contrib import admin, messages
from django.db.models import Model

from socialapp.cqrs.execute import execute
from socialapp.cqrs.models import CommandResult, ConsumerOffset, DeadLetter, Event, Heartbeat, ParkedEvent
from socialapp.cqrs.problems import Problem


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows a table. Counting millions of rows for a page number is not worth an operator's time."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class CommandAdmin(ReadOnlyAdmin):
    """Saves through commands: subclasses name the fields that a command can change."""

    editable: tuple[str, ...] = ()

    def change_command(self, obj: Model) -> object:
        """The command that brings the row into the state of the form."""
        raise NotImplementedError

    def has_change_permission(self, request, obj=None):
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_readonly_fields(self, request, obj=None):
        return [field.name for field in self.model._meta.fields if field.name not in self.editable]

    def save_model(self, request, obj, form, change):
        self.run(request, self.change_command(obj), obj)

    def run(self, request, command: object, obj: Model) -> bool:
        """Execute a command as the operator; a rejection is shown, not raised."""
        try:
            execute(command, actor_id=request.user.pk, resource_id=obj.pk)
        except Problem as problem:
            self.message_user(request, f"{obj}: {problem.detail or problem.title}", messages.ERROR)
            return False
        return True


@admin.register(CommandResult)
class CommandResultAdmin(ReadOnlyAdmin):
    list_display = ["id", "type", "outcome", "resource_type", "resource_id", "actor_id", "accepted_at", "applied_at"]
    list_filter = ["outcome", "type", "accepted_at"]
    search_fields = ["=id", "=actor_id", "=resource_id", "=idempotency_key"]
    ordering = ["-id"]


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["position", "time", "type", "aggregate", "aggregate_id", "aggregate_version", "command_id"]
    list_filter = ["type", "aggregate", "time"]
    search_fields = ["=aggregate_id", "=command_id"]
    ordering = ["-position"]


@admin.register(ConsumerOffset)
class ConsumerOffsetAdmin(ReadOnlyAdmin):
    list_display = ["consumer", "position", "xid", "updated_at", "lease_owner", "lease_until"]
    search_fields = ["consumer"]


@admin.register(ParkedEvent)
class ParkedEventAdmin(ReadOnlyAdmin):
    list_display = ["consumer", "event_position", "parked_at", "error"]
    list_filter = ["consumer", "parked_at"]
    search_fields = ["=event_position", "error"]


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    list_display = ["command_id", "type", "partition", "error", "attempts", "buried_at"]
    list_filter = ["type", "partition", "buried_at"]
    search_fields = ["=command_id", "error"]
    ordering = ["-buried_at"]


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    list_display = ["id", "time", "timeline"]
