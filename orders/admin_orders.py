"""Orders for operators: what was ordered, where the money is, and what may be done next."""

from django.contrib import admin, messages
from django.template.response import TemplateResponse

from orders.admin_timeline import label, timeline_of
from orders.commands import CancelOrder, ChangeOrder, HastenAttempt
from orders.models import Order, OrderAddress, OrderItem, PaymentAttempt, SandboxCharge, Status
from socialapp.cqrs.admin import CommandAdmin, ReadOnlyAdmin
from socialapp.cqrs.locks import exclusive
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.snapshots import snapshot


class Items(admin.TabularInline):
    model = OrderItem
    fields = readonly_fields = ["sku", "name", "quantity", "unit_price"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_view_permission(self, request, obj=None):
        return request.user.is_staff


class Addresses(Items):
    model = OrderAddress
    fields = readonly_fields = ["shown_address"]

    @admin.display(description="address")
    def shown_address(self, kept):
        return label(kept.address)


class Attempts(Items):
    model = PaymentAttempt
    fields = readonly_fields = ["created_at", "gateway", "amount", "currency", "state", "reference", "reason", "asked"]


@admin.register(Order)
class OrderAdmin(CommandAdmin):
    list_display = ["number", "created_at", "user", "status", "payment", "total", "currency"]
    list_filter = ["status", "payment", "created_at"]
    list_select_related = ["user"]
    search_fields = ["=number", "=user__username"]
    search_help_text = "An id, a number or a username"
    ordering = ["-id"]
    fields = [
        "number", "user", "status", "payment", "payment_type", "total", "currency", "shown_address",
        "held_until", "created_at", "updated_at", "version", "id",
    ]  # fmt: skip
    inlines = [Items, Addresses, Attempts]
    actions = ["ship", "deliver", "cancel"]
    change_form_template = "admin/orders/order/change_form.html"

    class Media:
        css = {"all": ["orders/timeline.css"]}

    def has_change_permission(self, request, obj=None):
        """There is nothing to type: an order moves by actions."""
        return request.user.is_staff and obj is None

    def get_readonly_fields(self, request, obj=None):
        return self.fields

    def changeform_view(self, request, *args, **options):
        """The order, its lines and its history in one snapshot, which ends after the page is rendered."""
        with snapshot():
            response = super().changeform_view(request, *args, **options)
            return response.render() if isinstance(response, TemplateResponse) else response

    @admin.display(description="address")
    def shown_address(self, order):
        return label(order.address) if order.address else "-"

    def render_change_form(self, request, context, *args, obj=None, **options):
        try:
            context["timeline"] = timeline_of(obj)
        except Unavailable:
            context["timeline"] = None
        return super().render_change_form(request, context, *args, obj=obj, **options)

    @admin.action(description="Mark as shipped")
    def ship(self, request, queryset):
        self._each(request, queryset, ChangeOrder(status=Status.SHIPPED.value, as_staff=True))

    @admin.action(description="Mark as delivered")
    def deliver(self, request, queryset):
        self._each(request, queryset, ChangeOrder(status=Status.DELIVERED.value, as_staff=True))

    @admin.action(description="Cancel, return the stock, refund what was paid")
    def cancel(self, request, queryset):
        self._each(request, queryset, CancelOrder("by staff", as_staff=True))

    def _each(self, request, queryset, command):
        """Each order by itself, until one is refused: the page says which, and why."""
        for order in queryset:
            with exclusive("order", order.pk):
                self.run(request, command, order)
            self.message_user(request, f"Order {order.number} was changed.", messages.SUCCESS)


@admin.register(OrderItem)
class OrderItemAdmin(ReadOnlyAdmin):
    """What of a product was sold, and to whom."""

    list_display = ["order", "sku", "name", "quantity", "unit_price"]
    list_select_related = ["order"]
    search_ids = ("order", "product")
    search_fields = ["=sku"]
    search_help_text = "A SKU, or the id of an order or of a product"
    ordering = ["-id"]
    fields = ["order", "product", "sku", "name", "quantity", "unit_price"]


@admin.register(OrderAddress)
class OrderAddressAdmin(ReadOnlyAdmin):
    list_display = ["order", "id"]
    list_select_related = ["order"]
    search_ids = ("pk", "order")
    search_help_text = "The id of an order"
    search_fields = ["=order__number"]
    ordering = ["-id"]
    fields = ["order", "address", "id"]


@admin.register(PaymentAttempt)
class PaymentAttemptAdmin(CommandAdmin):
    list_display = ["created_at", "order", "gateway", "amount", "currency", "state", "reason"]
    list_filter = ["state", "gateway", "created_at"]
    list_select_related = ["order"]
    search_ids = ("pk", "order")
    search_fields = ["=reference"]
    search_help_text = "The id of an attempt or of an order, or the gateway's reference"
    ordering = ["-id"]
    fields = [
        "order", "order_version", "gateway", "amount", "currency", "state", "reference", "reason", "asked", "ask_at",
        "created_at", "updated_at", "id",
    ]  # fmt: skip
    actions = ["ask_again"]

    def has_change_permission(self, request, obj=None):
        return request.user.is_staff and obj is None

    @admin.action(description="Ask the gateway again now")
    def ask_again(self, request, queryset):
        """Each by itself, until one is refused: the page says why."""
        for attempt in queryset:
            self.run(request, HastenAttempt(str(attempt.pk)), attempt.order)
            self.message_user(request, f"The gateway is asked for {attempt}.", messages.SUCCESS)


@admin.register(SandboxCharge)
class SandboxChargeAdmin(ReadOnlyAdmin):
    """The other side of the counter: what the sandbox gateway believes."""

    list_display = ["created_at", "amount", "currency", "is_charged", "reason", "asked", "refunded_at"]
    list_filter = ["is_charged", "created_at"]
    search_fields = ["=reason"]
    search_help_text = "The id of an attempt"
    ordering = ["-key"]
    fields = ["key", "amount", "currency", "is_charged", "reason", "asked", "refunded_at", "created_at"]
