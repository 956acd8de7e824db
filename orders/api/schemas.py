"""Request and answer bodies of the shop. Amounts are text, as JSON's numbers are floats to most readers."""

from django.core.validators import RegexValidator
from django_countries import countries
from rest_framework import serializers

from socialapp.cqrs.http.schemas import Schema


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


class ProductAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    sku = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    price = MoneyAnswer()
    stock = serializers.IntegerField()
    category = CategoryAnswer(allow_null=True)


class Line(serializers.CharField):
    """What goes on one line of a label."""

    default_validators = [RegexValidator(r"\A[^\x00-\x1f\x7f\u2028\u2029]*\Z", "One line of text.")]


class NewAddress(Schema):
    name = Line(max_length=100, help_text="Whose name is at the door")
    line1 = Line(max_length=200, label="Line 1", help_text="Street and number")
    line2 = Line(max_length=200, label="Line 2", required=False, allow_blank=True)
    postcode = Line(max_length=20, required=False, allow_blank=True)
    city = Line(max_length=100)
    region = Line(max_length=100, required=False, allow_blank=True)
    country = serializers.ChoiceField(choices=list(countries))
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
