"""What chaos found out, as a table on the terminal and as JSON in a folder."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from deploy.chaos.reads import Row

HEADINGS = ("fault", "where", "phase", "GETs", "failed", "stale", "p50 ms", "p99 ms", "max ms")
WIDTHS = (20, 12, 7, 6, 6, 6, 8, 8, 8)


def show(rows: Iterable[Row]) -> list[Row]:
    """Print each row as soon as it is there; returns them all."""
    print(line(*HEADINGS), flush=True)
    return [show_one(row) for row in rows]


def show_one(row: Row) -> Row:
    numbers = (row.gets, row.failed, row.stale, row.p50, row.p99, row.slowest)
    print(line(row.fault, row.where, row.phase, *numbers), flush=True)
    for failure in row.failures:
        print(f"    {failure}", flush=True)
    return row


def line(*cells: object) -> str:
    aligned = zip(cells, WIDTHS, strict=True)
    return "  ".join(f"{cell:<{width}}" if isinstance(cell, str) else f"{cell:>{width}}" for cell, width in aligned)


def write(folder: Path, name: str, rows: Iterable[object]) -> None:
    """rows: dataclasses."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
