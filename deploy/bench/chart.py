"""The charts of `make bench`: what was measured of each subject, per scenario, one PNG of each part."""

from collections.abc import Iterable
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.bench import orders, writes
from deploy.bench.reads import Row

matplotlib.use("agg")

# Told apart without colours, too: the order of the bars is the order of the legend.
COLOURS = {"naive": "#9a9a9a", "cacheops": "#c98b2b", "socialapp": "#2f6fb3", "gateway": "#173f6b"}
# Of the 50th and the 99th percentile.
SHADES = (COLOURS["socialapp"], COLOURS["gateway"])
# What is drawn of a row, the title, and the unit.
DRAWN = (("rate", "Reads per second", ""), ("p50", "Median latency", "ms"), ("cpu_ms", "CPU behind a read", "ms"))


def draw(rows: list[Row], path: Path) -> None:
    """One line of plots per number of connections; logarithmic, as the subjects lie far apart."""
    connections = sorted({row.connections for row in rows})
    figure = Figure(figsize=(15, 4.2 * len(connections)), layout="constrained")
    plots = figure.subplots(len(connections), len(DRAWN), squeeze=False)
    for line, number in zip(plots, connections, strict=True):
        for axes, (field, title, unit) in zip(line, DRAWN, strict=True):
            bars(axes, [row for row in rows if row.connections == number], field)
            axes.set_title(f"{title}, {number} connections")
            axes.set_ylabel(unit)
    handles, labels = plots[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.savefig(path, dpi=110)


def bars(axes: Axes, rows: list[Row], field: str) -> None:
    scenarios = list(dict.fromkeys(row.scenario for row in rows))
    width = 0.8 / len(COLOURS)
    for place, (subject, colour) in enumerate(COLOURS.items()):
        values = [max(getattr(row, field), 1e-3) for row in rows if row.subject == subject]
        drawn = axes.bar([n + place * width for n in range(len(scenarios))], values, width, color=colour, label=subject)
        axes.bar_label(drawn, labels=[short(value) for value in values], fontsize=6, rotation=90, padding=2)
    axes.set_yscale("log")
    axes.margins(y=0.18)
    axes.set_xticks([n + 1.5 * width for n in range(len(scenarios))], scenarios)
    axes.spines[["top", "right"]].set_visible(False)


def draw_writes(rows: list[writes.Row], path: Path) -> None:
    """A plot of rates per scenario, and one of the times from 202 to visible."""
    figure = Figure(figsize=(15, 4.2), layout="constrained")
    plots = figure.subplots(1, 4)
    rates(plots, rows, (writes.HOT, writes.SPREAD, writes.POSTS))
    times(plots[-1], [row for row in rows if row.scenario in (writes.LOW, writes.HIGH)])
    figure.savefig(path, dpi=110)


def draw_orders(rows: list[writes.Row], path: Path) -> None:
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    rates(figure.subplots(1, 3), rows, (orders.PLACED, orders.HOT, orders.LISTS))
    figure.savefig(path, dpi=110)


def rates(plots: Iterable[Axes], rows: list[writes.Row], scenarios: Iterable[str]) -> None:
    for axes, scenario in zip(plots, scenarios, strict=False):
        found = [row for row in rows if row.scenario == scenario]
        drawn = axes.bar([row.subject for row in found], [row.rate for row in found], color=colours(found))
        axes.bar_label(drawn, labels=[short(row.rate) for row in found], fontsize=8, padding=2)
        axes.set_title(f"{scenario}, per second")
        finish(axes)


def times(axes: Axes, rows: list[writes.Row]) -> None:
    for place, percentile in enumerate(("p50", "p99")):
        values = [getattr(row, percentile) for row in rows]
        places = [number + place * 0.4 for number in range(len(rows))]
        drawn = axes.bar(places, values, 0.4, color=SHADES[place], label=percentile)
        axes.bar_label(drawn, labels=[short(value) for value in values], fontsize=8, padding=2)
    axes.set_title("From 202 to visible, ms")
    axes.set_xticks([number + 0.2 for number in range(len(rows))], [row.scenario for row in rows])
    axes.legend()
    finish(axes)


def colours(rows: list[writes.Row]) -> list[str]:
    return [COLOURS.get(row.subject.partition(",")[0], COLOURS["cacheops"]) for row in rows]


def finish(axes: Axes) -> None:
    axes.margins(y=0.18)
    axes.tick_params("x", labelrotation=30)
    axes.spines[["top", "right"]].set_visible(False)


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
