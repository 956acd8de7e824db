"""A page of a list together with its entities, from the cache alone and mostly in one round trip.

What the page held when this process saw it last is asked for along with it. If it is another page by now, its
entities are asked for after all: of a wrong guess nothing is shown.
"""

from collections.abc import Sequence
from typing import NamedTuple

from socialapp.cqrs import reader
from socialapp.cqrs.fragments import Entities, Fragment, Lists, Page, existing
from socialapp.cqrs.keys import Slot

# Pages that a process remembers, of a few KiB each; then it starts afresh.
MOST_GUESSES = 2048


class Guess(NamedTuple):
    content: bytes
    page: Page
    slots: Sequence[Slot]


_guesses: dict[Slot, Guess] = {}


def peek(
    lists: Lists, entities: Entities, identifier: str, *, limit: int, cursor: str | None
) -> tuple[Page, list[Fragment]] | None:
    """The page and those of its entities that still exist; None when the cache lacks anything of it."""
    slot = lists.slot(identifier, limit, cursor)
    guess = _guesses.get(slot)
    found = reader.peek([slot, *guess.slots] if guess else [slot])
    if found is None:
        _guesses.pop(slot, None)
        return None
    content, *elements = found
    if guess is None or content != guess.content:
        page = Page.decode_existing(content)
        if page is None:
            return None
        guess = _remember(slot, Guess(content, page, entities.slots(page.identifiers)))
        elements = reader.peek(guess.slots)
    return None if elements is None else (guess.page, existing(elements))


def _remember(slot: Slot, guess: Guess) -> Guess:
    if len(_guesses) >= MOST_GUESSES:
        _guesses.clear()
    _guesses[slot] = guess
    return guess
