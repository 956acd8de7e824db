"""The request of a program that sends a command: JSON, an access token, and nothing to negotiate."""

from collections.abc import Iterable
from io import BytesIO

from django.core.handlers.wsgi import WSGIRequest
from django.utils.functional import cached_property
from rest_framework.authentication import BaseAuthentication

from socialapp.cqrs.http.parsers import StrictJSONParser
from socialapp.cqrs.http.reads import JSON
from socialapp.cqrs.http.renderers import BytesJSONRenderer


class PlainRequest(WSGIRequest):
    """As much of DRF's request as the views of commands use."""

    accepted_renderer = BytesJSONRenderer()
    accepted_media_type = JSON
    version = versioning_scheme = None

    @cached_property
    def data(self) -> object:
        """Raises ParseError."""
        return StrictJSONParser().parse(BytesIO(self.body), JSON) if self.body else {}

    def authenticate(self, ways: Iterable[BaseAuthentication]) -> None:
        """Raises AuthenticationFailed. As there is an Authorization header, the first way is the only one."""
        self.user, self.auth = next(iter(ways)).authenticate(self)
