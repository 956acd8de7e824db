"""GET /api/v1/schema: rendered once per process and format, as it is the same for everybody until the next deploy."""

from hashlib import blake2b
from threading import Lock

from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView

from socialapp.cqrs.http.reads import caching, not_modified

# Rendering takes 60 ms of CPU.
_rendered: dict[type, HttpResponse] = {}
_rendering = Lock()


class Schema(SpectacularAPIView):
    """OpenAPI 3.1 of this API, as YAML or JSON by `Accept` or `format`."""

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request, *args, **kwargs):
        kept = self._kept(request)
        headers = {name: kept[name] for name in ("Content-Type", "Content-Disposition")}
        headers |= caching(f'"{blake2b(kept.content, digest_size=8).hexdigest()}"')
        # The gateway keeps one answer for `*/*` and `application/json`; here they are YAML and JSON.
        del headers["X-Accel-Expires"]
        if not_modified(request.META, headers["ETag"]):
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(kept.content, headers=headers)

    def _kept(self, request: HttpRequest) -> HttpResponse:
        # Not by the media type, to which a client may add parameters.
        kind = type(request.accepted_renderer)
        with _rendering:
            if kind not in _rendered:
                response = super().get(request)
                self.finalize_response(request, response).render()
                _rendered[kind] = response
            return _rendered[kind]
