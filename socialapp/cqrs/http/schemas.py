"""The base of all request bodies: unknown fields are errors, as a misspelt one would else be lost silently."""

from rest_framework import serializers
from rest_framework.exceptions import ValidationError


class Schema(serializers.Serializer):
    """A request body that names every field it accepts."""

    def to_internal_value(self, data):
        if isinstance(data, dict) or hasattr(data, "keys"):
            # A browser's form carries its CSRF token along.
            unknown = set(data.keys()) - set(self.fields) - {"csrfmiddlewaretoken"}
            if unknown:
                errors = {str(name): ["There is no such field."] for name in sorted(unknown, key=str)}
                raise ValidationError(errors, code="unknown_field")
        return super().to_internal_value(data)


class Nothing(Schema):
    """A request without a body."""


class CommandReference(serializers.Serializer):
    id = serializers.UUIDField()
    type = serializers.CharField()
    status = serializers.ChoiceField(["accepted"])
    href = serializers.URLField()


class ResourceReference(serializers.Serializer):
    type = serializers.CharField()
    id = serializers.UUIDField()
    href = serializers.URLField()


class AcceptedAnswer(serializers.Serializer):
    """202: the command is on disk and will be applied."""

    command = CommandReference()
    resource = ResourceReference()


class CommandAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    type = serializers.CharField()
    status = serializers.ChoiceField(["accepted", "applied", "rejected", "failed"])
    resource = ResourceReference()
    problem = serializers.DictField(required=False)
    consistency_token = serializers.CharField(required=False)
