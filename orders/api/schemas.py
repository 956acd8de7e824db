"""Request and answer bodies of the shop. Amounts are text, as JSON's numbers are floats to most readers."""

from rest_framework import serializers


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
