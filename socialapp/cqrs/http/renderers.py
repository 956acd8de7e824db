"""JSON that is ready already passes through as it is; browsers get DRF's pages."""

import orjson
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer


class BytesJSONRenderer(BaseRenderer):
    """bytes are JSON already; anything else is encoded."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if data is None:
            return b""
        return data if isinstance(data, bytes) else orjson.dumps(data, default=str)


class BrowsableRenderer(BrowsableAPIRenderer):
    """Shows a read as a page. Bodies from fragments are indented for people."""

    def get_content(self, renderer, data, accepted_media_type, renderer_context):
        if data is None:
            return ""
        if isinstance(data, bytes):
            data = orjson.loads(data)
        return orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2).decode()

    def get_default_renderer(self, view):
        return BytesJSONRenderer()
