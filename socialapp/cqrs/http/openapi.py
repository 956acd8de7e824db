"""What the OpenAPI schema says of every operation beyond what drf-spectacular finds out by itself."""

import re
from inspect import cleandoc

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from socialapp.cqrs.http.problems import MEDIA_TYPE
from socialapp.cqrs.http.schemas import ProblemAnswer


def header(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


OF_READS = [header("Consistency-Token", "from a write's answer: the read shows that write")]
OF_WRITES = [
    header("Prefer", "`wait=N`: wait up to N seconds (10 at most) for the outcome"),
    header("Idempotency-Key", "a repeat with the same key gets the first answer"),
]


class OperationSchema(AutoSchema):
    def get_operation_id(self):
        """A page of a list is an envelope, which would be named like one entity otherwise."""
        operation_id = re.sub(r"\W", "_", super().get_operation_id()).strip("_")
        return operation_id.replace("_retrieve", "_list") if hasattr(self.view, "lists") else operation_id

    def get_description(self):
        """Only what the view itself says: docstrings of its bases and methods are for programmers."""
        return cleandoc(type(self.view).__doc__ or "")

    def get_override_parameters(self):
        if self.method == "GET":
            return OF_READS
        return OF_WRITES if hasattr(self.view, "submit") else []

    def map_parsers(self):
        """Forms are for the browsable API."""
        return ["application/json"]

    def _get_response_bodies(self, direction="response"):
        bodies = super()._get_response_bodies(direction)
        problem = self._get_response_for_code(ProblemAnswer, "default", [MEDIA_TYPE], direction)
        return bodies | {"default": problem | {"description": "a problem document (RFC 9457)"}}
