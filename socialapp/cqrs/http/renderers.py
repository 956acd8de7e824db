"""JSON that is ready already passes through as it is; browsers get pages, with forms that a person can fill in."""

import orjson
from rest_framework import exceptions, serializers
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, HTMLFormRenderer
from rest_framework.request import override_method

from socialapp.cqrs.http import page_links

WITH_BODY = ("POST", "PUT", "PATCH")
# What a page has no input for. Such a field is left out, and sent as raw JSON by whoever needs it.
NO_INPUT = (serializers.ListField, serializers.ListSerializer, serializers.DictField)
NOTHING_TO_DO = (403, 404, 410)


class BytesJSONRenderer(BaseRenderer):
    """bytes are JSON already; anything else is encoded."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if data is None:
            return b""
        return data if isinstance(data, bytes) else orjson.dumps(data, default=str)


class FormRenderer(HTMLFormRenderer):
    """A form with the fields that HTML has inputs for."""

    def render_field(self, field, parent_style):
        if isinstance(field._field, NO_INPUT):
            return ""
        if field.style.get("input_type") == "password":
            # A form that comes back with errors does not repeat it.
            field.value = ""
        return super().render_field(field, parent_style)


class BrowsableRenderer(BrowsableAPIRenderer):
    """A document as a page, with links, and with a form or a button for each method that the reader may use.

    Nobody keeps a page: it holds the reader's name and CSRF token.
    """

    form_renderer_class = FormRenderer

    def render(self, data, accepted_media_type=None, renderer_context=None):
        page = super().render(data, accepted_media_type, renderer_context)
        response = renderer_context["response"]
        # The type of a problem document would make a browser show the page's source.
        response["Content-Type"] = "text/html; charset=utf-8"
        response["Cache-Control"] = "private, no-store"
        return page

    def get_default_renderer(self, view):
        return BytesJSONRenderer()

    def get_content(self, renderer, data, accepted_media_type, renderer_context):
        text = "" if data is None else orjson.dumps(_document(data), default=str, option=orjson.OPT_INDENT_2).decode()
        return page_links.linked(text, _kind(renderer_context["view"]))

    def get_context(self, data, accepted_media_type, renderer_context):
        context = super().get_context(data, accepted_media_type, renderer_context)
        request, response, view = (renderer_context[name] for name in ("request", "response", "view"))
        document = _document(data)
        usable = response.status_code not in NOTHING_TO_DO and not _is_deleted(view, response)
        forms = self._forms(renderer_context, document) if usable else []
        context["response_headers"]["Content-Type"] = response.content_type or BytesJSONRenderer.media_type
        return context | {
            "document": document,
            "forms": [form for form in forms if form["fields"]],
            "buttons": [form["method"] for form in forms if not form["fields"]],
            "delete_form": usable and context["delete_form"],
            "below": page_links.below(request) if usable else [],
        }

    def show_form_for_method(self, view, method, request, obj):
        """Whether the reader may use a method on the document of this page."""
        response = self.renderer_context["response"]
        document = _document(response.data) if response.status_code < 400 else None
        return super().show_form_for_method(view, method, request, document if isinstance(document, dict) else None)

    def get_rendered_html_form(self, data, view, method, request):
        """DRF asks for all of its forms; only its buttons are used."""
        return None if method in WITH_BODY else super().get_rendered_html_form(data, view, method, request)

    def get_raw_data_form(self, data, view, method, request):
        return None

    def _forms(self, renderer_context, document: object) -> list[dict]:
        """{"method", "fields", "html", "raw"} of each method with a body that the reader may use."""
        view, request, forms = renderer_context["view"], renderer_context["request"], []
        if getattr(view, "serializer_class", None) is None:
            return forms
        for method in WITH_BODY:
            with override_method(view, request, method) as asked:
                if self.show_form_for_method(view, method, asked, None):
                    serializer = _filled(view, request, method, renderer_context["response"], document)
                    forms.append({"method": method} | self._fields(serializer))
        return forms

    def _fields(self, serializer: serializers.Serializer) -> dict:
        fields = serializer.fields.values()
        fits = not any(field.required and isinstance(field, NO_INPUT) for field in fields)
        html = self.render_form_for_serializer(serializer) if fits and serializer.has_inputs else ""
        return {"fields": list(serializer.fields), "html": html, "raw": _raw(serializer)}


def _document(data: object) -> object:
    return orjson.loads(data) if isinstance(data, bytes) else data


def _kind(view) -> str | None:
    """What has the ids on its page."""
    entities = getattr(view, "entities", None)
    return entities.name if entities else getattr(view, "kind", None)


def _is_deleted(view, response) -> bool:
    """A post is gone then, but a like can be put back."""
    return response.status_code == 204 and "PUT" not in view.allowed_methods


def _filled(view, request, method: str, response, document: object) -> serializers.Serializer:
    """A refused body comes back with what is wrong with it; an edit starts from what there is."""
    if request.method == method and response.status_code >= 400 and (sent := _sent(request)):
        serializer = view.get_serializer(data=sent)
        serializer.is_valid()
        return serializer
    serializer = view.get_serializer()
    if method != "POST" and isinstance(document, dict) and response.status_code < 400:
        for name in serializer.fields.keys() & document.keys():
            serializer.fields[name].initial = document[name]
    return serializer


def _sent(request) -> object:
    try:
        return request.data
    except exceptions.APIException:
        return None


def _raw(serializer: serializers.Serializer) -> str:
    """The body as JSON, without passwords."""
    secret = {name for name, field in serializer.fields.items() if field.style.get("input_type") == "password"}
    body = {name: "" if name in secret else value for name, value in serializer.data.items()}
    return orjson.dumps(body, default=str, option=orjson.OPT_INDENT_2).decode()
