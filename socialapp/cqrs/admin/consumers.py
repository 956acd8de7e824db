"""Event consumers for operators: how far each has come, and what it could not digest."""

from django.contrib import admin, messages

from socialapp.cqrs import progress
from socialapp.cqrs.admin.base import CommandAdmin, ReadOnlyAdmin, preformatted
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent
from socialapp.cqrs.parking import RetryParkedEvents


@admin.register(ConsumerOffset)
class ConsumerOffsetAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "state", "unread", "behind", "parked", "position", "xid", "updated_at", "lease_until"]
    search_fields = ["consumer"]
    search_ids = ("lease_owner",)
    ordering = ["consumer", "lane"]
    fields = ["consumer", "lane", "lanes", "state", "unread", "behind", "parked", "position", "xid", "updated_at",
              "lease_owner", "lease_until"]  # fmt: skip

    @admin.display(description="state")
    def state(self, offset):
        return _progress(offset).state

    @admin.display(description="unread events")
    def unread(self, offset):
        return f"{_progress(offset).events:,}"

    @admin.display(description="behind")
    def behind(self, offset):
        return f"{_progress(offset).seconds:,.1f} s"

    @admin.display(description="parked")
    def parked(self, offset):
        return _progress(offset).parked


def _progress(offset: ConsumerOffset) -> progress.Progress:
    """Asked for once per row."""
    if not hasattr(offset, "progress"):
        offset.progress = progress.of_lane(offset)
    return offset.progress


@admin.register(ParkedEvent)
class ParkedEventAdmin(CommandAdmin):
    """A retry is carried out by the consumer itself: the row goes when it has digested the event."""

    list_display = ["event_position", "consumer", "parked_at", "retry_at", "first_line"]
    list_filter = ["consumer", "parked_at"]
    search_fields = ["=event_position", "error"]
    search_ids = ()
    ordering = ["-parked_at"]
    actions = ["retry_selected"]
    fields = ["event_position", "consumer", "parked_at", "retry_at", "shown_error"]

    def has_change_permission(self, request, obj=None):
        return False

    def has_retry_permission(self, request):
        return request.user.is_staff and request.user.has_perm("cqrs.change_parkedevent")

    @admin.action(description="Retry selected", permissions=["retry"])
    def retry_selected(self, request, queryset):
        for parked in queryset:
            self.run(request, RetryParkedEvents(parked.consumer, parked.event_position))
        message = f"{len(queryset)} will be tried again within a second; look again then."
        self.message_user(request, message, messages.SUCCESS)

    @admin.display(description="error")
    def first_line(self, parked):
        return parked.error.strip().rpartition("\n")[2][:200]

    @admin.display(description="error")
    def shown_error(self, parked):
        return preformatted(parked.error)
