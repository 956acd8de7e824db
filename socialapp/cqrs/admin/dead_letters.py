"""Dead letters for operators: grouped by error, each with its history, and a page for each decision."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join

from socialapp.cqrs import dead_letters
from socialapp.cqrs.admin.base import CommandAdmin, ReadOnlyAdmin, preformatted
from socialapp.cqrs.dead_letters import DiscardDeadLetter, Requeued, RequeueDeadLetter
from socialapp.cqrs.models import CommandResult, DeadLetter, DeadLetterStep
from socialapp.cqrs.problems import Problem

State = DeadLetter.State
MOST_GROUPS = 50
# A form may have 100 fields (settings/security.py), and each letter that it is about is one.
MOST_AT_ONCE = 80


class ReasonForm(forms.Form):
    reason = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField", "autofocus": True}),
        help_text="Stays with the letter, for whoever asks later.",
    )

    def __init__(self, *args, letter: DeadLetter | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.letter = letter


class PayloadForm(ReasonForm):
    payload = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 12, "class": "vLargeTextField payload", "spellcheck": "false"}),
        help_text="JSON. It is checked against the fields of the command before it goes back.",
    )
    field_order = ["payload", "reason"]

    def __init__(self, *args, letter: DeadLetter, **kwargs):
        text = json.dumps(letter.envelope.get("payload"), indent=2, ensure_ascii=False)
        super().__init__(*args, letter=letter, initial={"payload": text}, **kwargs)

    def clean_payload(self) -> str:
        try:
            dead_letters.checked(self.letter, self.cleaned_data["payload"])
        except Problem as problem:
            raise forms.ValidationError(problem.detail) from problem
        return self.cleaned_data["payload"]


def _requeue(letter_id: UUID, by: str, words: dict, **who) -> Requeued:
    decision = RequeueDeadLetter(by, words["reason"], words.get("payload"))
    return dead_letters.requeue(letter_id, decision, **who)


def _discard(letter_id: UUID, by: str, words: dict, **who) -> Requeued:
    return Requeued(dead_letters.discard(letter_id, DiscardDeadLetter(by, words["reason"]), **who))


@dataclass(frozen=True, slots=True)
class Decision:
    """A way to deal with a letter: what the page says about it, the form it asks for, and what it does."""

    label: str
    consequence: str
    done: str
    form: type[ReasonForm]
    decide: Callable[..., Requeued]


AGAIN = "It goes back into the log under the same id; whoever asks for the command sees what becomes of it."
DECISIONS = {
    "requeue": Decision("Requeue", AGAIN, "requeued", ReasonForm, _requeue),
    "edit": Decision("Edit and requeue", AGAIN, "edited and requeued", PayloadForm, _requeue),
    "discard": Decision(
        "Discard", "It will not be tried again. Its outcome stays “failed”.", "discarded", ReasonForm, _discard
    ),
}


class StateFilter(admin.SimpleListFilter):
    """What waits for a decision, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("requeued", "Requeued"), ("discarded", "Discarded"), ("any", "Any")]

    def choices(self, changelist):
        first, *others = super().choices(changelist)
        return [{**first, "display": "Waiting for a decision"}, *others]

    def queryset(self, request, queryset):
        wanted = {
            None: [State.BURIED],
            "requeued": [State.REQUEUING, State.REQUEUED],
            "discarded": [State.DISCARDED],
        }
        return queryset.filter(state__in=wanted[self.value()]) if self.value() in wanted else queryset


@admin.register(DeadLetter)
class DeadLetterAdmin(CommandAdmin):
    list_display = ["command_id", "type", "shown_kind", "state", "buried_at"]
    list_filter = [StateFilter, "type", "partition", "buried_at"]
    search_fields = ["error"]
    search_help_text = "An id of a command, or a part of an error"
    ordering = ["-buried_at"]
    actions = ["requeue_selected", "discard_selected"]
    fields = [
        "command_id", "type", "state", "shown_outcome", "error", "shown_payload", "shown_history", "shown_traceback",
        "partition", "attempts", "buried_at", "shown_envelope",
    ]  # fmt: skip

    def has_change_permission(self, request, obj=None):
        return False

    def has_decide_permission(self, request):
        return request.user.is_staff and request.user.has_perm("cqrs.change_deadletter")

    @admin.display(description="error", ordering="kind")
    def shown_kind(self, letter):
        return letter.kind[:120]

    @admin.display(description="outcome of the command")
    def shown_outcome(self, letter):
        result = CommandResult.objects.filter(pk=letter.pk).first()
        return result.outcome if result else "none yet: it waits in the log"

    @admin.display(description="payload")
    def shown_payload(self, letter):
        return preformatted(letter.envelope.get("payload"))

    @admin.display(description="traceback")
    def shown_traceback(self, letter):
        return preformatted(letter.traceback)

    @admin.display(description="command as it stands in the log")
    def shown_envelope(self, letter):
        return preformatted(letter.envelope)

    @admin.display(description="history")
    def shown_history(self, letter):
        rows = (
            (f"{s.at:%Y-%m-%d %H:%M:%S}", s.action, s.by, s.reason, changes(s)) for s in letter.steps.order_by("pk")
        )
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}{}</td></tr>", rows)
        return format_html("<table class='history'>{}</table>", body) if body else "-"

    @admin.action(description="Requeue selected", permissions=["decide"])
    def requeue_selected(self, request, queryset):
        return self._decide_all(request, queryset, "requeue")

    @admin.action(description="Discard selected", permissions=["decide"])
    def discard_selected(self, request, queryset):
        return self._decide_all(request, queryset, "discard")

    def get_urls(self):
        mine = [
            path(
                f"<uuid:letter_id>/{name}/",
                self.admin_site.admin_view(self.decision_view),
                {"name": name},
                name=f"cqrs_deadletter_{name}",
            )
            for name in DECISIONS
        ]
        return mine + super().get_urls()

    def changelist_view(self, request, extra_context=None):
        groups = dead_letters.grouped(DeadLetter.objects.filter(state=State.BURIED))[:MOST_GROUPS]
        kind = request.GET.get("kind__exact")
        return super().changelist_view(request, {"groups": groups, "kind": kind} | (extra_context or {}))

    def render_change_form(self, request, context, *args, **kwargs):
        open_for = self.has_decide_permission(request) and context["original"].state == State.BURIED
        context["decisions"] = DECISIONS if open_for else {}
        return super().render_change_form(request, context, *args, **kwargs)

    def decision_view(self, request, letter_id: UUID, name: str) -> HttpResponse:
        if not self.has_decide_permission(request):
            raise PermissionDenied
        return self.refusable(request, lambda: self._decision(request, letter_id, name))

    def _decision(self, request, letter_id: UUID, name: str) -> HttpResponse:
        letter = self.get_object(request, str(letter_id))
        if letter is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, str(letter_id))
        page = reverse("admin:cqrs_deadletter_change", args=[letter_id])
        if letter.state != State.BURIED:
            self.message_user(request, f"This dead letter is {letter.state} already.", messages.WARNING)
            return HttpResponseRedirect(page)
        form = DECISIONS[name].form(request.POST or None, letter=letter)
        if not form.is_valid():
            return self._ask(request, name, form, [letter])
        self._decide(request, letter, name, form.cleaned_data)
        self.message_user(request, f"{letter} was {DECISIONS[name].done}.", messages.SUCCESS)
        return HttpResponseRedirect(page)

    def _decide_all(self, request, letters: QuerySet, name: str) -> HttpResponse | None:
        """The action of the list: asks for a reason first, then decides letter by letter."""
        chosen = list(letters.filter(state=State.BURIED)[:MOST_AT_ONCE])
        form = DECISIONS[name].form(request.POST if "confirmed" in request.POST else None)
        if chosen and not form.is_valid():
            return self._ask(request, name, form, chosen)
        for letter in chosen:
            self._decide(request, letter, name, form.cleaned_data)
        self.message_user(request, f"{len(chosen)} {DECISIONS[name].done}.", messages.SUCCESS)
        return None

    def _decide(self, request, letter: DeadLetter, name: str, words: dict) -> None:
        who = {"actor_id": request.user.pk, "token": request.consistency_token}
        decided = DECISIONS[name].decide(letter.pk, request.user.get_username(), words, **who)
        request.consistency_token = decided.executed.token
        if decided.delayed:
            self.message_user(request, f"{letter}: {decided.delayed}", messages.WARNING)

    def _ask(self, request, name: str, form: forms.Form, letters: list[DeadLetter]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{DECISIONS[name].label}: {len(letters)} dead letter{pluralize(len(letters))}",
            "decision": DECISIONS[name],
            "action": f"{name}_selected",
            "form": form,
            "letters": letters,
            "is_full": len(letters) == MOST_AT_ONCE,
        }
        return TemplateResponse(request, "admin/cqrs/deadletter/decide.html", context)


def changes(step: DeadLetterStep) -> str:
    rows = ((name, json.dumps(a), json.dumps(b)) for name, (a, b) in (step.changes or {}).items())
    return format_html_join("", "<br><code>{}: {} → {}</code>", rows)


@admin.register(DeadLetterStep)
class DeadLetterStepAdmin(ReadOnlyAdmin):
    """Who decided what, over all letters."""

    list_display = ["at", "letter_id", "action", "by", "reason"]
    list_filter = ["action", "at"]
    search_fields = ["by", "reason"]
    search_ids = ("letter_id", "actor_id")
    search_help_text = "An id of a command or an operator, a name, or a part of a reason"
    ordering = ["-pk"]
    fields = ["letter", "action", "at", "by", "actor_id", "reason", "shown_changes"]

    @admin.display(description="changes")
    def shown_changes(self, step):
        return preformatted(step.changes)
