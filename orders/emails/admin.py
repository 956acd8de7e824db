"""Emails for operators: what was sent or refused, and the outbox, where there is one instead of a mail server."""

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.http import Http404
from django.template.response import TemplateResponse
from django.urls import path

from orders.commands import SendRefusedEmail
from orders.emails import outbox
from orders.models import OrderEmail
from socialapp.cqrs.admin import CommandAdmin

PER_PAGE = 50
# An email's HTML is shown in a frame that runs no scripts; the page itself loads nothing from elsewhere either.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@admin.register(OrderEmail)
class OrderEmailAdmin(CommandAdmin):
    list_display = ["time", "kind", "order", "refusal"]
    list_filter = [("refusal", admin.EmptyFieldListFilter), "kind", "time"]
    list_select_related = ["order"]
    search_ids = ("order",)
    search_fields = ["=order__number"]
    search_help_text = "The id or the number of an order"
    ordering = ["-event_position"]
    fields = ["event_position", "order", "kind", "time", "refusal"]
    actions = ["send_again"]

    def has_change_permission(self, request, obj=None):
        return False

    def has_send_permission(self, request):
        return request.user.is_staff and request.user.has_perm("orders.change_orderemail")

    @admin.action(description="Send refused ones again", permissions=["send"])
    def send_again(self, request, queryset):
        for email in queryset:
            self.run(request, SendRefusedEmail(email.pk))
        message = f"{len(queryset)} will be tried again within a second; look again then."
        self.message_user(request, message, messages.SUCCESS)

    def get_urls(self):
        guarded = self.admin_site.admin_view
        return [
            path("outbox/", guarded(self.outbox), name="orders_outbox"),
            path("outbox/<slug:name>/", guarded(self.outbox_email), name="orders_outbox_email"),
            *super().get_urls(),
        ]

    def changelist_view(self, request, extra_context=None):
        return super().changelist_view(request, {"has_outbox": outbox.is_used(), **(extra_context or {})})

    def outbox(self, request):
        """The newest emails, without their texts."""
        require_outbox()
        page = Paginator(outbox.names(), PER_PAGE).get_page(request.GET.get("page"))
        # One of them may have been pruned a moment ago.
        emails = list(filter(None, map(outbox.read, page)))
        return self._page(request, "list", {"title": "Outbox", "page": page, "emails": emails})

    def outbox_email(self, request, name):
        require_outbox()
        email = outbox.read(name)
        if email is None:
            raise Http404
        response = self._page(request, "email", {"title": email.message["Subject"], "email": email})
        response["Content-Security-Policy"] = POLICY
        return response

    def _page(self, request, template, context):
        context = self.admin_site.each_context(request) | {"opts": self.opts, **context}
        return TemplateResponse(request, f"admin/orders/orderemail/outbox_{template}.html", context)


def require_outbox() -> None:
    if not outbox.is_used():
        raise Http404
