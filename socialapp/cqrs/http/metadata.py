"""What OPTIONS tells of an address: its methods and the fields of their bodies."""

from rest_framework.exceptions import APIException
from rest_framework.metadata import SimpleMetadata
from rest_framework.request import override_method


class Metadata(SimpleMetadata):
    """DRF would look for the object of a PUT; here the handler does that, once there is a command."""

    def determine_actions(self, request, view):
        if getattr(view, "serializer_class", None) is None:
            return {}
        actions = {}
        for method in {"POST", "PUT", "PATCH"} & set(view.allowed_methods):
            with override_method(view, request, method) as asked:
                try:
                    view.check_permissions(asked)
                except APIException:
                    continue
                actions[method] = self.get_serializer_info(view.get_serializer())
        return actions
