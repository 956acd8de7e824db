"""Orders, their lines, and the attempts to have them paid."""

from django.conf import settings
from django.db import models
from django.db.models import F, Func, Q, Value

from orders.models.catalogue import Product

MOST_OF_ONE = 99
# Columns that the API shows, or needs to know who may see the order.
SHOWN = (
    "id", "number", "user_id", "status", "payment", "payment_type", "total", "currency", "address", "held_until",
    "created_at", "updated_at", "version",
)  # fmt: skip


class Status(models.TextChoices):
    """What an order can be; machine.py says what follows what."""

    PENDING = "pending"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    PAYMENT_FAILED = "payment_failed"


class Payment(models.TextChoices):
    """Where the money is. unknown: the gateway was asked and has not answered; it is asked again."""

    DUE = "due"
    UNDER_WAY = "under_way"
    UNKNOWN = "unknown"
    PAID = "paid"
    DECLINED = "declined"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    # Cancelled before anything was charged.
    VOID = "void"


class Order(models.Model):
    """version: rises with every event about the order; what If-Match compares.

    number: for people, about in the order of placing, with gaps. address: as it was when the order was placed, {} for
    none. held_until: an order that is not paid by then is cancelled, and its stock returns.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    number = models.BigIntegerField(unique=True, db_default=Func(Value("orders_number"), function="nextval"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, db_index=False, related_name="orders")
    status = models.CharField(max_length=20, choices=Status, default=Status.PENDING)
    payment = models.CharField(max_length=20, choices=Payment, default=Payment.DUE)
    total = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    address = models.JSONField(default=dict, blank=True)
    payment_type = models.CharField(max_length=30)
    # Names a way to pay at the gateway, once. No card number ever comes here.
    payment_token = models.CharField(max_length=255, editable=False)
    held_until = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(total__gte=0), name="total_is_never_below_zero")]
        # Ids are time-ordered, so that these serve lists, newest first.
        indexes = [
            models.Index(fields=["user", "-id"], name="orders_of_a_user"),
            models.Index(fields=["status", "-id"], name="orders_by_status"),
            models.Index(fields=["held_until"], condition=Q(status="pending"), name="orders_that_expire"),
        ]

    def __str__(self):
        return f"{self.number}"


class OrderItem(models.Model):
    """One line: a product as it was sold. Its name and price stay, whatever becomes of the product."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, db_index=False, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveSmallIntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)
    sku = models.CharField(max_length=50)
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="one_line_per_product"),
            models.CheckConstraint(
                condition=Q(quantity__gte=1, quantity__lte=MOST_OF_ONE), name="between_one_and_99_of_a_product"
            ),
        ]

    def __str__(self):
        return f"{self.quantity} × {self.sku}"


class OrderAddress(models.Model):
    """Where an order went to, at some time. Events name it by its id: what they tell of is nobody's address."""

    id = models.UUIDField(primary_key=True, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="addresses")
    address = models.JSONField()

    class Meta:
        verbose_name_plural = "order addresses"

    def __str__(self):
        return str(self.pk)


class PaymentAttempt(models.Model):
    """One charge that the gateway is asked for; its id is the gateway's idempotency key.

    order_version: of the order that the amount was taken from. reference: the gateway's name of the charge.
    asked: how often the gateway was asked; ask_at: when it is asked next.
    """

    class State(models.TextChoices):
        OPEN = "open"
        UNKNOWN = "unknown"
        CHARGED = "charged"
        DECLINED = "declined"
        REFUNDING = "refunding"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="attempts")
    order_version = models.PositiveIntegerField()
    gateway = models.CharField(max_length=30)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=20, choices=State, default=State.OPEN)
    reference = models.CharField(max_length=255, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    asked = models.PositiveIntegerField(default=0)
    ask_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            # However many workers try: an order is charged once at a time, and never twice.
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state__in=["open", "unknown", "charged", "refunding"]),
                name="one_charge_per_order",
            )
        ]
        indexes = [
            models.Index(
                fields=["ask_at"], condition=Q(state__in=["open", "unknown", "refunding"]), name="attempts_to_ask"
            ),
            models.Index(F("reference"), condition=~Q(reference=""), name="attempts_by_reference"),
        ]

    def __str__(self):
        return f"{self.amount} {self.currency}, {self.state}"
