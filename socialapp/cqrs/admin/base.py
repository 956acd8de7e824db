"""What all admin pages are made of: tables that are only looked at, and pages that save through commands."""

import json
from collections.abc import Callable
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Model, Q
from django.http import HttpResponse, HttpResponseRedirect
from django.utils.html import format_html

from socialapp.cqrs.execute import execute
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.problems import Problem


def preformatted(value: object) -> str:
    """A traceback, or a JSON document with its lines."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return format_html("<pre>{}</pre>", text)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Shows a table. Counting millions of rows for a page number is not worth an operator's time.

    search_ids: UUID columns, looked up by their indexes; search_fields are searched for words.
    """

    show_full_result_count = False
    list_per_page = 50
    search_ids: tuple[str, ...] = ("pk",)

    def has_module_permission(self, request):
        return request.user.is_staff

    def has_view_permission(self, request, obj=None):
        return request.user.is_staff

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def get_search_results(self, request, queryset, search_term):
        try:
            identifier = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(Q(*((name, identifier) for name in self.search_ids), _connector=Q.OR)), False


class CommandAdmin(ReadOnlyAdmin):
    """Saves through commands: subclasses name the fields that a command can change."""

    editable: tuple[str, ...] = ()
    # Named by each page: a column that is added to a table, say a password, does not show by itself.
    fields: list[str]

    def change_command(self, obj: Model) -> object:
        """The command that brings the row into the state of the form."""
        raise NotImplementedError

    def has_change_permission(self, request, obj=None):
        return request.user.is_staff

    def get_readonly_fields(self, request, obj=None):
        return [field.name for field in self.model._meta.fields if field.name not in self.editable]

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        """Not in Django's transaction around a page: a command is one of its own, committed or refused."""
        return self.refusable(request, lambda: self._changeform_view(request, object_id, form_url, extra_context))

    def delete_view(self, request, object_id, extra_context=None):
        return self.refusable(request, lambda: self._delete_view(request, object_id, extra_context))

    def changelist_view(self, request, extra_context=None):
        show = super().changelist_view
        return self.refusable(request, lambda: show(request, extra_context))

    def refusable(self, request, respond: Callable[[], HttpResponse]) -> HttpResponse:
        """The page, or the same page again with the reason why its command was refused."""
        try:
            response = respond()
        except Problem as problem:
            self.message_user(request, problem.detail or problem.title, messages.ERROR)
            response = HttpResponseRedirect(request.get_full_path())
        if request.method == "POST" and request.consistency_token:
            remember(request, response, request.consistency_token)
        return response

    def save_model(self, request, obj, form, change):
        self.run(request, self.change_command(obj), obj)

    def run(self, request, command: object, obj: Model | None = None) -> None:
        """Execute a command as the operator, who then sees its effect everywhere. Raises the Problem of a refusal."""
        token = request.consistency_token
        resource_id = obj.pk if obj else None
        executed = execute(command, actor_id=request.user.pk, resource_id=resource_id, token=token)
        request.consistency_token = executed.token
