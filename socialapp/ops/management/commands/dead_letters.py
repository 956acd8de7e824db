"""manage.py dead_letters: list, requeue or discard commands that kept failing. The admin can edit them, too."""

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet
from tqdm import tqdm

from socialapp.cqrs import dead_letters, roles
from socialapp.cqrs.dead_letters import DiscardDeadLetter, RequeueDeadLetter
from socialapp.cqrs.models import DeadLetter
from socialapp.cqrs.problems import Problem

State = DeadLetter.State


class Command(BaseCommand):
    help = (
        "Commands that kept failing, by default those that wait for a decision. Exit code 1: some were refused, or"
        " nothing matched what was to be changed."
    )

    def add_arguments(self, parser):
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="one line per letter, then counts by error")
        listing.add_argument("--state", choices=[*State.values, "any"], default=State.BURIED)
        listing.add_argument("--limit", type=int, default=100, help="lines; default 100")
        add_filters(listing)
        for name, meaning in (("requeue", "back into the log under the same id"), ("discard", "leave it failed")):
            deciding = actions.add_parser(name, help=meaning)
            deciding.add_argument("--reason", required=True, help="stays with each letter")
            deciding.add_argument("--dry-run", action="store_true", help="count, and change nothing")
            deciding.add_argument("--yes", action="store_true", help="do not ask")
            add_filters(deciding)

    def handle(self, *, action: str, **options):
        if action == "list":
            self._list(options)
        else:
            self._decide(action, **options)

    def _list(self, options: dict) -> None:
        letters = matching(options)
        if options["state"] != "any":
            letters = letters.filter(state=options["state"])
        for letter in letters[: options["limit"]]:
            line = f"{letter.pk}  {letter.buried_at:%Y-%m-%d %H:%M:%S}  {letter.state}  {letter.type}  {letter.error}"
            self.stdout.write(line.splitlines()[0])
        self.stdout.write(f"{letters.count():,} dead letters")
        for group in dead_letters.grouped(letters):
            self.stdout.write("{letters:>8,}  {type}  {kind}".format(**group))

    def _decide(self, action: str, *, reason: str, dry_run: bool, yes: bool, verbosity: int, **options) -> None:
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        letters = matching(options).filter(state=State.BURIED)
        number = letters.count()
        if not number:
            raise CommandError("No dead letter that waits for a decision matches.")
        if dry_run:
            self.stdout.write(f"Would {action} {number:,} dead letters.")
        elif yes or confirmed(action, number):
            self._decide_each(action, list(letters.values_list("pk", flat=True)), reason, verbosity)
        else:
            self.stdout.write("Nothing was changed.")

    def _decide_each(self, action: str, letter_ids: list[UUID], reason: str, verbosity: int) -> None:
        decide, refused = decider(action, reason), 0
        for letter_id in tqdm(letter_ids, unit=" letters", disable=True if verbosity == 0 else None):
            try:
                delayed = decide(letter_id)
            except Problem as problem:
                refused += 1
                self.stderr.write(self.style.ERROR(f"{letter_id}: {problem}"))
                continue
            if delayed:
                self.stderr.write(self.style.WARNING(f"{letter_id}: {delayed}"))
        self.stdout.write(f"{action.removesuffix('e')}ed {len(letter_ids) - refused:,} dead letters.".capitalize())
        if refused:
            raise CommandError(f"{refused:,} were refused.")


def add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--id", type=UUID, nargs="+", metavar="UUID", help="of the commands")
    parser.add_argument("--type", help="of the commands, e.g. LikePost")
    parser.add_argument("--error", help="a part of the error")


def matching(options: dict) -> QuerySet:
    filters = {"pk__in": options["id"], "type": options["type"], "error__icontains": options["error"]}
    wanted = {name: value for name, value in filters.items() if value is not None}
    return DeadLetter.objects.using("default").filter(**wanted).order_by("-buried_at")


def decider(action: str, reason: str) -> Callable[[UUID], str | None]:
    """A function of a letter's id that returns why a requeued command is not back in the log yet, if it is not."""
    by = f"{getpass.getuser()} (manage.py)"
    if action == "requeue":
        return lambda letter_id: dead_letters.requeue(letter_id, RequeueDeadLetter(by, reason)).delayed
    return lambda letter_id: _discard(letter_id, DiscardDeadLetter(by, reason))


def confirmed(action: str, number: int) -> bool:
    if not sys.stdin.isatty():
        raise CommandError(f"This would {action} {number:,} dead letters; pass --yes.")
    return input(f"{action.capitalize()} {number:,} dead letters? [y/N] ").strip().lower() in ("y", "yes")


def _discard(letter_id: UUID, decision: DiscardDeadLetter) -> None:
    dead_letters.discard(letter_id, decision)
