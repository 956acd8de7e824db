"""Addresses that users keep."""

from django.conf import settings
from django.db import models
from django.db.models import Q

# What its owner is shown of it.
SHOWN = ("id", "name", "line1", "line2", "city", "region", "postcode", "country", "is_default")


class Address(models.Model):
    """Where somebody wants things sent to. Orders keep a copy, so it may change and go.

    country: ISO 3166-1 alpha-2. Of a user's addresses exactly one is the default.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    name = models.CharField(max_length=100)
    line1 = models.CharField(max_length=200)
    line2 = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100)
    region = models.CharField(max_length=100, blank=True)
    postcode = models.CharField(max_length=20, blank=True)
    country = models.CharField(max_length=2)
    is_default = models.BooleanField("default", default=False)
    sequence = models.BigIntegerField(default=0, editable=False)

    class Meta:
        verbose_name_plural = "addresses"
        indexes = [models.Index(fields=["user", "-id"], name="addresses_of_a_user")]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(is_default=True), name="one_default_address_per_user")
        ]

    def __str__(self):
        return f"{self.name}, {self.line1}, {self.city}"
