"""The ledger of the sandbox gateway. It stands for the world outside: only payments/sandbox.py touches it."""

from django.db import models
from django.db.models.functions import Now


class SandboxCharge(models.Model):
    """The first answer under an idempotency key. asked: how often; refunded_at: when the money went back."""

    key = models.UUIDField(primary_key=True, editable=False)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    is_charged = models.BooleanField()
    reason = models.CharField(max_length=500, blank=True)
    asked = models.PositiveIntegerField(default=0)
    refunded_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self):
        return f"{self.amount} {self.currency}"
