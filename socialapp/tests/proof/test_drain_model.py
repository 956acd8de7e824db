"""The drain, as a model: it holds, each of its rules is needed, and it does what the code does."""

import secrets

import pytest

from posts.commands import CreatePost, EditPost
from socialapp.accounts.models import User
from socialapp.cqrs import apply, commands, dead_letters, deferrals, log, outcomes
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.dead_letters import RequeueDeadLetter
from socialapp.cqrs.ids import new_id
from socialapp.tests.proof import drain_model
from socialapp.tests.proof.drain_model import CREATE, EDIT, LATER, RULES, SAME_KEY, TWIN, State

PARTITION = 9


def test_the_drain_holds():
    states, fault, trace = drain_model.explore()
    assert (fault, trace) == ("", [])
    assert states > 100_000, "nothing was left out"


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_there_is_a_fault(rule):
    _, fault, _ = drain_model.explore(rule)
    assert fault


# What happens, one after the other. `drain` tries what is due; before `drain later` 250 ms pass, before `give up` 5 s.
SCHEDULES = {
    "in order": [CREATE, EDIT, LATER, "register", "drain"],
    "the user comes late": [CREATE, EDIT, "drain", LATER, "drain", "register", "drain", "drain later"],
    "the user never comes": [CREATE, "drain", EDIT, "drain", "drain later", "give up", "drain later"],
    "one key twice": [CREATE, TWIN, EDIT, "drain", "drain later", "register", "drain later"],
    "one key twice, apart": ["register", CREATE, "drain", TWIN, "drain"],
    "one key twice, and the user never comes": [CREATE, TWIN, "drain", "give up", "drain later"],
    "a late edit": ["register", CREATE, "drain", EDIT, f"fail {EDIT}", LATER, "drain", f"requeue {EDIT}", "drain"],
    "an edit again": ["register", CREATE, "drain", EDIT, f"fail {EDIT}", f"requeue {EDIT}", "drain", LATER, "drain"],
    "a creation that fails": ["register", CREATE, f"fail {CREATE}", EDIT, "drain", f"requeue {CREATE}", "drain"],
    "a poison among others": ["register", CREATE, "drain", EDIT, LATER, f"fail {EDIT}", "drain"],
}


class Modelled:
    def __init__(self):
        self.state = State(faults=frozenset({"handler", "requeue"}))

    def accept(self, command: str) -> None:
        self.state = self.state._replace(unread=self.state.unread | {command}, accepted=(*self.state.accepted, command))

    def register(self) -> None:
        self.state = self.state._replace(is_there=True)

    def requeue(self, command: str) -> None:
        self._take("an operator requeues " + command, drain_model.environment(self.state))

    def drain(self, *, is_due: bool, patient: bool = True) -> None:
        if not (self.state.unread or self.state.pending or self.state.aside):
            return
        self._step("takes the lock", "reads the log")
        self._step("reads what was set aside" + (", which is due" if is_due and self.state.aside else ""))
        gives_up = not patient and is_due and self.state.aside and SAME_KEY.keys() & self.state.aside
        self._step("commits" + (", and waits for the user no longer" if gives_up else ""))
        self._finish()

    def fail(self, command: str) -> None:
        """The code applies the others of the batch at once; here they are left for the next drain."""
        self._step("takes the lock", "reads the log", "reads what was set aside", f"fails in the handler of {command}")
        self._step(f"buries {command}")
        self._finish()
        if self.state.unread | self.state.pending:
            self.drain(is_due=False)

    def seen(self) -> tuple[dict, int]:
        accepted = {one: drain_model.outcome(self.state, one) or "accepted" for one in self.state.accepted}
        assert not self.state.wrong and not self.state.unread | self.state.pending
        return accepted, len(self.state.aside)

    def _finish(self) -> None:
        self._step("publishes, and sets aside what has to wait", "is done")

    def _step(self, *wanted: str) -> None:
        for what in wanted:
            self._take(f"worker 0 {what}", drain_model.steps(self.state, None))

    def _take(self, what: str, enabled) -> None:
        (self.state,) = (after for name, after in enabled if name == what)


class Real:
    def __init__(self, patched):
        self.patched, self.user, post = patched, new_id(PARTITION + 1), new_id(PARTITION)
        key = (0, f"k{post}", "f")
        self.envelopes = {
            CREATE: Envelope(new_id(PARTITION), CreatePost("first"), self.user, post, *key),
            TWIN: Envelope(new_id(PARTITION), CreatePost("first"), self.user, new_id(PARTITION), *key),
            EDIT: Envelope(new_id(PARTITION), EditPost("edited"), self.user, post),
            LATER: Envelope(new_id(PARTITION), EditPost("edited later"), self.user, post),
        }
        self.accepted: list[str] = []
        read, self.late = deferrals.read, 0
        patched.setattr(deferrals, "read", lambda partition: (read(partition)[0] + self.late, read(partition)[1]))
        patched.setattr(apply, "BACKOFF", (0, 0))

    def accept(self, command: str) -> None:
        log.append(self.envelopes[command], after_stamp=0)
        self.accepted.append(command)

    def register(self) -> None:
        User.objects.create(pk=self.user, username=f"model_{secrets.token_hex(6)}")

    def requeue(self, command: str) -> None:
        dead_letters.requeue(self.envelopes[command].id, RequeueDeadLetter("ada", "again"))

    def drain(self, *, is_due: bool, patient: bool = True) -> None:
        self.late += 0 if not is_due else deferrals.PAUSE if patient else deferrals.PATIENCE
        apply.drain(PARTITION)

    def fail(self, command: str) -> None:
        failing = self.envelopes[command]
        cls = type(failing.command)
        handler = commands.handler_of(cls)

        def fail(envelopes, effects):
            if failing.id in {envelope.id for envelope in envelopes}:
                raise ZeroDivisionError
            handler(envelopes, effects)

        with pytest.MonkeyPatch.context() as patched:
            patched.setitem(commands._handlers, cls, fail)
            apply.drain(PARTITION)

    def seen(self) -> tuple[dict, int]:
        found = outcomes.lookup([self.envelopes[one].id for one in self.accepted])
        assert log.backlog(PARTITION) == 0
        return {one: found[self.envelopes[one].id].status for one in self.accepted}, len(deferrals.read(PARTITION)[1])


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_model_does_what_the_code_does(clean_stores, monkeypatch, schedule):
    model, real = Modelled(), Real(monkeypatch)
    for event in SCHEDULES[schedule]:
        for one in (model, real):
            happen(event, one)
        if event.startswith(("drain", "give up", "fail")):
            assert model.seen() == real.seen(), event


def happen(event: str, one: Modelled | Real) -> None:
    what, _, command = event.partition(" ")
    if event in (CREATE, TWIN, EDIT, LATER):
        one.accept(event)
    elif what in ("fail", "requeue"):
        getattr(one, what)(command)
    elif event == "register":
        one.register()
    else:
        one.drain(is_due=event != "drain", patient=event != "give up")
