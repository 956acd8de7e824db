"""The base of all request bodies: unknown fields are errors, as a misspelt one would else be lost silently."""

from collections.abc import Mapping

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

# DRF reads the number 5 as the text "5", and 1 as an id. Fields of other kinds are checked by DRF itself.
JSON_TYPES = (
    (serializers.BooleanField, bool, "Must be true or false."),
    (serializers.IntegerField, int, "Must be a whole number."),
    (serializers.CharField, str, "Must be a string."),
    (serializers.ChoiceField, str, "Must be a string."),
    (serializers.UUIDField, str, "Must be an id."),
)
# A body of nothing but unknown fields gets no answer that is many times its size.
MOST_UNKNOWN = 20


class Schema(serializers.Serializer):
    """A request body that names every field it accepts. has_inputs: a page shows it as a form, else as JSON only."""

    has_inputs = True

    def to_internal_value(self, data):
        if isinstance(data, Mapping):
            self._require_known(data)
            # A form has nothing but texts, and may repeat a field.
            check = self._require_single if hasattr(data, "getlist") else self._require_types
            check(data)
        return super().to_internal_value(data)

    def _require_known(self, data: Mapping) -> None:
        # A browser's form carries its CSRF token along.
        unknown = set(data) - set(self.fields) - {"csrfmiddlewaretoken"}
        if unknown:
            names = sorted(unknown)[:MOST_UNKNOWN]
            raise ValidationError({name[:100]: ["There is no such field."] for name in names}, code="unknown_field")

    def _require_single(self, data: Mapping) -> None:
        lists = {name for name, field in self.fields.items() if isinstance(field, serializers.ListField)}
        repeated = [name for name in data if name not in lists and len(data.getlist(name)) > 1]
        if repeated:
            raise ValidationError({name: ["This field is given twice."] for name in repeated}, code="duplicate_field")

    def _require_types(self, data: Mapping) -> None:
        wrong = {
            name: [message]
            for name, field in self.fields.items()
            if name in data and (message := _type_error(field, data[name]))
        }
        if wrong:
            raise ValidationError(wrong, code="invalid")


def _type_error(field: serializers.Field, value: object) -> str | None:
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return next((error for element in value if (error := _type_error(field.child, element))), None)
    for kind, expected, message in JSON_TYPES:
        if isinstance(field, kind):
            return message if value is not None and type(value) is not expected else None
    return None


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


class FieldProblem(serializers.Serializer):
    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemAnswer(serializers.Serializer):
    """RFC 9457; `code` is stable, `detail` is for people."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldProblem(many=True, required=False)


class CommandAnswer(serializers.Serializer):
    id = serializers.UUIDField()
    type = serializers.CharField()
    status = serializers.ChoiceField(["accepted", "applied", "rejected", "failed"])
    resource = ResourceReference()
    problem = serializers.DictField(required=False)
    consistency_token = serializers.CharField(required=False)
