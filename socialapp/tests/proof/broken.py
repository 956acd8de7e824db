"""The protocol with one of its rules taken away. Each takes a monkeypatch."""

from dataclasses import replace

from socialapp.cqrs import cache, routing
from socialapp.cqrs.scripts import Script


def without(script: Script, text: str, instead: str) -> Script:
    assert text in script.source, f"the script has changed: {text}"
    return Script(script.source.replace(text, instead))


def lease(monkeypatch):
    """Whoever has loaded something puts it."""
    monkeypatch.setattr(cache, "FILL", without(cache.FILL, "then return 0 end", "then end"))


def floor(monkeypatch):
    """A replica serves a miss however far it is behind."""
    forgiving = without(cache.LOOKUP, "floor[2] .. ' ' .. floor[1] or ''", "'0 0' or ''")
    monkeypatch.setattr(cache, "LOOKUP", forgiving)


def order(monkeypatch):
    """The replica's position is taken after its data."""
    read_with = routing.read_with

    def data_first(load, **required):
        found = load("replica1")
        return read_with(lambda alias: found if alias == "replica1" else load(alias), **required)

    monkeypatch.setattr(routing, "read_with", data_first)


def memory(monkeypatch):
    """A floor that is absent counts as one that was never raised."""
    trusting = without(cache.LOOKUP, "floor[2] .. ' ' .. floor[1] or ''", "floor[2] .. ' ' .. floor[1] or '0 0'")
    monkeypatch.setattr(cache, "LOOKUP", trusting)


def memory_of_other_writes(monkeypatch):
    """An absent floor is set to the position of the one write that finds it absent."""
    known = "raised = {raised[1] or '0', raised[2] or '0'}\nif false then"
    forgetful = without(cache.INVALIDATE, "if not (raised[1] and raised[2]) then", known)
    monkeypatch.setattr(cache, "INVALIDATE", forgetful)


def raising(monkeypatch):
    """A fill leaves the floor as it is."""
    monkeypatch.setattr(cache, "FILL", without(cache.FILL, "if timeline > history or", "if false and"))


def raising_to_the_position_after(monkeypatch):
    """A fill raises the floor to the position that was taken before its read."""
    read_with = routing.read_with

    def with_the_position_before(load, **required):
        read = read_with(load, **required)
        return replace(read, place=read.place and read.source.place)

    monkeypatch.setattr(routing, "read_with", with_the_position_before)


RULES = [lease, floor, order, memory, memory_of_other_writes, raising, raising_to_the_position_after]
