"""The chart of `make bench`: rates and latencies of each subject, per scenario, as one PNG."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deploy.bench.reads import Row

matplotlib.use("agg")

# Told apart without colours, too: the order of the bars is the order of the legend.
COLOURS = {"naive": "#9a9a9a", "cacheops": "#c98b2b", "socialapp": "#2f6fb3", "gateway": "#173f6b"}
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


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
