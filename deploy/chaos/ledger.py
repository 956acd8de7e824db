"""The ledger: every write that clients wanted, what was answered, and when its result was first seen.

`writers` makes and answers the entries, `watch` notes when results appear, `verdict` compares it with the primary.
"""

from dataclasses import dataclass, field
from uuid import UUID

from socialapp.cqrs.ids import partition_of

# Between what names a post or comment for good, and what edits append to it.
SEPARATOR = " / "


@dataclass(slots=True, eq=False)
class Write:
    """One write, however many requests it takes; they all show the same key. Times are seconds since the epoch.

    kind: create, edit, comment, withdraw, like or unlike. number: rises with every write of its client.
    line: writes of one client that must take effect in the order of their numbers. marker: text of nothing else.
    answers: those before the final one: a status, or the name of an exception. refused: a final one that is no 202.
    seen: when the result could first be read on the primary. Of what has not happened, "" or 0.
    """

    key: str
    kind: str
    actor: str
    number: int
    line: str
    method: str
    path: str
    post: str = ""
    marker: str = ""
    text: str = ""
    answers: list[str] = field(default_factory=list)
    command_id: str = ""
    resource_id: str = ""
    accepted: float = 0.0
    refused: str = ""
    seen: float = 0.0

    @property
    def partition(self) -> int:
        """Of an accepted write."""
        return partition_of(UUID(self.command_id))

    @property
    def delay(self) -> float:
        """Seconds from the 202 until the result was seen, of a write whose result was."""
        return max(0.0, self.seen - self.accepted)

    @property
    def unanswered(self) -> bool:
        return not self.accepted and not self.refused

    def __str__(self):
        return f"{self.kind} {self.key} ({self.command_id or 'not accepted'})"


Ledger = list[Write]


def accepted(ledger: Ledger) -> Ledger:
    return [write for write in ledger if write.accepted]


def unseen(ledger: Ledger) -> Ledger:
    """Accepted writes whose result nobody has seen yet."""
    return [write for write in ledger if write.accepted and not write.seen]


def first_marker(text: str) -> str:
    """The marker of a post's text, whatever edits have appended."""
    return text.partition(SEPARATOR)[0]
