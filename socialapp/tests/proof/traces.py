"""For each rule the shortest way to a stale entry without it, as `proof.models cache --break RULE` prints it.

Each takes a World in which the replica has the row and the cache a floor for it, and only raises without its rule.
"""

from socialapp.tests.proof.world import World


def lease(world: World) -> None:
    """A reader reads, is overtaken by a write and its invalidation, and fills."""
    late = world.reader()
    late.until("fill")
    world.writer().finish()
    late.finish()
    world.check()


def floor(world: World) -> None:
    """The replica has not replayed the write that made the entry stale."""
    world.writer().finish()
    world.reader().finish()
    world.check()


def order(world: World) -> None:
    """The replica replays the write between the reading of its data and that of its position."""
    world.writer().finish()
    late = world.reader()
    late.until("read")
    late.go_on()
    world.replica_catches_up()
    late.finish()
    world.check()


def memory(world: World) -> None:
    """The cache forgets the floor that the write has raised."""
    world.writer().finish()
    world.lose_memory()
    world.reader().finish()
    world.check()


def memory_of_other_writes(world: World) -> None:
    """The first invalidation after the loss is that of an earlier write than the last one that was confirmed."""
    earlier = world.writer()
    earlier.until("invalidate")
    world.replica_catches_up()
    world.writer().finish()
    world.lose_memory()
    earlier.finish()
    world.reader().finish()
    world.check()


def raising(world: World) -> None:
    """What was filled from the primary is evicted, and read again from a replica that does not have it yet."""
    writer = world.writer()
    writer.until("position")
    world.refiller().finish()
    world.evict()
    world.reader().finish()
    world.check()


def raising_to_the_position_after(world: World) -> None:
    """The same, and the write becomes visible between the primary's position and the reading of its data."""
    filling, writer = world.refiller(), world.writer()
    filling.until("read")
    writer.until("position")
    filling.finish()
    world.evict()
    world.reader().finish()
    world.check()
