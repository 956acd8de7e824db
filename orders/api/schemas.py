"""Request and answer bodies of the shop. Amounts are text, as JSON's numbers are floats to most readers."""

from django.core.validators import RegexValidator
from django_countries import countries
from rest_framework import serializers
from rest_framework.fields import iter_options

from orders.models import MOST_OF_ONE, Payment, Status
from socialapp.cqrs.http.schemas import Schema

MOST_LINES = 100


class NewItem(Schema):
    product_id = serializers.UUIDField()
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_OF_ONE)


class PaymentMethod(Schema):
    """token: from the gateway, names a way to pay once. The sandbox knows `approve`, `decline` and `timeout`."""

    type = serializers.RegexField(r"^[a-z_]{1,30}\Z")
    token = serializers.CharField(max_length=255)


class NewOrder(Schema):
    items = NewItem(many=True, allow_empty=False, max_length=MOST_LINES)
    address_id = serializers.UUIDField(required=False, allow_null=True)
    payment_method = PaymentMethod(required=False, allow_null=True)

    def get_initial(self):
        """What a page's form begins with, when nothing was sent: the shape of a line."""
        return (
            super().get_initial() if hasattr(self, "initial_data") else {"items": [{"product_id": "", "quantity": 1}]}
        )


class OrderChange(Schema):
    """version: of the order that was read, as `If-Match` says it. status: by staff."""

    has_inputs = False
    items = NewItem(many=True, allow_empty=False, max_length=MOST_LINES, required=False)
    address_id = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(Status.choices, required=False)
    version = serializers.IntegerField(min_value=1, required=False)

    def get_initial(self):
        """What a page's form begins with: the lines that there are."""
        if hasattr(self, "initial_data"):
            return super().get_initial()
        lines = self.fields["items"].initial or ()
        items = [{name: line[name] for name in ("product_id", "quantity")} for line in lines]
        return {"items": items, "version": self.fields["version"].initial}

    def validate(self, attrs):
        if not attrs.keys() & {"items", "address_id", "status"}:
            raise serializers.ValidationError("One of items, address_id and status.")
        return attrs


class MoneyAnswer(serializers.Serializer):
    amount = serializers.DecimalField(max_digits=12, decimal_places=2)
    currency = serializers.CharField()


class CategoryAnswer(serializers.Serializer):
    """path: the slugs from the root down, as the filter of products takes it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    path = serializers.CharField()


class CategoryInTreeAnswer(CategoryAnswer):
    parent_id = serializers.UUIDField(allow_null=True)


class CategoriesAnswer(serializers.Serializer):
    results = CategoryInTreeAnswer(many=True)
    next = serializers.URLField(allow_null=True)


class ImageAnswer(serializers.Serializer):
    url = serializers.URLField()
    alt = serializers.CharField(help_text="What it shows, for who cannot see it")
    width = serializers.IntegerField(help_text="pixels")
    height = serializers.IntegerField(help_text="pixels")


class ProductAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    price = MoneyAnswer()
    stock = serializers.IntegerField()
    category = CategoryAnswer(allow_null=True)
    images = ImageAnswer(many=True)


class ItemAnswer(serializers.Serializer):
    """A line, as it was sold."""

    product_id = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price = MoneyAnswer()
    total = MoneyAnswer()


class PaymentAnswer(serializers.Serializer):
    type = serializers.CharField()
    status = serializers.ChoiceField(Payment.choices)


class OrderAnswer(serializers.Serializer):
    """number: for people. held_until: an order that is not paid by then is cancelled."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    status = serializers.ChoiceField(Status.choices)
    items = ItemAnswer(many=True)
    total = MoneyAnswer()
    address = serializers.DictField(allow_null=True)
    payment = PaymentAnswer()
    version = serializers.IntegerField()
    held_until = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class OrderEventAnswer(serializers.Serializer):
    """version: of the order, since then. data: what the event tells."""

    type = serializers.CharField()
    version = serializers.IntegerField()
    time = serializers.DateTimeField()
    data = serializers.DictField()


class PaymentThenAnswer(serializers.Serializer):
    status = serializers.ChoiceField(Payment.choices)


class OrderThenAnswer(serializers.Serializer):
    """An order as it was."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    status = serializers.ChoiceField(Status.choices)
    items = ItemAnswer(many=True)
    total = MoneyAnswer()
    address = serializers.DictField(allow_null=True)
    payment = PaymentThenAnswer()
    version = serializers.IntegerField()


class OrderHistoryAnswer(serializers.Serializer):
    results = OrderEventAnswer(many=True)
    state = OrderThenAnswer(required=False)


class Line(serializers.CharField):
    """What goes on one line of a label."""

    default_validators = [RegexValidator(r"\A[^\x00-\x1f\x7f\u2028\u2029]*\Z", "One line of text.")]


class Country(serializers.ChoiceField):
    """ISO 3166-1 alpha-2. A page has to ask: the first in the list would be chosen otherwise."""

    def __init__(self, **options):
        super().__init__(choices=list(countries), **options)

    def iter_options(self):
        return iter_options({"": "Choose one"} | self.grouped_choices)


class NewAddress(Schema):
    name = Line(max_length=100, help_text="Whose name is at the door")
    line1 = Line(max_length=200, label="Line 1", help_text="Street and number")
    line2 = Line(max_length=200, label="Line 2", required=False, allow_blank=True)
    postcode = Line(max_length=20, required=False, allow_blank=True)
    city = Line(max_length=100)
    region = Line(max_length=100, required=False, allow_blank=True)
    country = Country()
    is_default = serializers.BooleanField(required=False, label="The default")


class AddressAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    name = serializers.CharField()
    line1 = serializers.CharField()
    line2 = serializers.CharField()
    city = serializers.CharField()
    region = serializers.CharField()
    postcode = serializers.CharField()
    country = serializers.CharField(help_text="ISO 3166-1 alpha-2")
    is_default = serializers.BooleanField()


class AddressesAnswer(serializers.Serializer):
    results = AddressAnswer(many=True)
    next = serializers.URLField(allow_null=True)


class NoticeAnswer(serializers.Serializer):
    received = serializers.BooleanField()
