"""What chaos found out, as a table on the terminal and as JSON in a folder."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol


class Row(Protocol):
    """A dataclass; `remarks` are printed below its line in full."""

    @property
    def remarks(self) -> list[str]: ...


@dataclass(frozen=True)
class Column:
    heading: str
    width: int
    field: str


READS = (
    Column("fault", 20, "fault"),
    Column("where", 12, "where"),
    Column("phase", 7, "phase"),
    Column("GETs", 6, "gets"),
    Column("failed", 6, "failed"),
    Column("stale", 6, "stale"),
    Column("p50 ms", 8, "p50"),
    Column("p99 ms", 8, "p99"),
    Column("max ms", 8, "slowest"),
)
WRITES = (
    Column("fault", 34, "fault"),
    Column("202s", 6, "accepted"),
    Column("repeats", 7, "repeats"),
    Column("lost", 5, "lost"),
    Column("doubled", 7, "doubled"),
    Column("order", 5, "disordered"),
    Column("other", 5, "other"),
    Column("p50 ms", 7, "p50"),
    Column("p99 ms", 7, "p99"),
    Column("max ms", 7, "slowest"),
    Column("back s", 6, "recovery"),
    Column("level s", 7, "held_up"),
    Column("no 202 s", 8, "silence"),
)


def show(rows: Iterable[Row], columns: tuple[Column, ...]) -> list:
    """Print each row as soon as it is there; returns them all."""
    print(line([column.heading for column in columns], columns), flush=True)
    return [show_one(row, columns) for row in rows]


def show_one(row: Row, columns: tuple[Column, ...]) -> Row:
    print(line([getattr(row, column.field) for column in columns], columns), flush=True)
    for remark in row.remarks:
        print(f"    {remark}", flush=True)
    return row


def line(cells: list, columns: tuple[Column, ...]) -> str:
    aligned = zip(cells, (column.width for column in columns), strict=True)
    return "  ".join(f"{cell:<{width}}" if isinstance(cell, str) else f"{cell:>{width}}" for cell, width in aligned)


def write(folder: Path, name: str, rows: Iterable[object]) -> None:
    """rows: dataclasses."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
