"""Throughput against messages in flight as an SVG; the measured JSON comes by standard input.

Runs in the peers' environment. Text and axes are of a grey, and lines of colours, that can be read on white and on
black; there is no background. Text stays text.
"""

import json
import statistics
import sys
from typing import Any, Final

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

GREY: Final = "#7d7d7d"

LINES: Final = {
    "trioqueue": ("trioqueue", "#e4572e", "-", "o"),
    "pgqueuer-lent": ("PGQueuer, HTTP lent", "#3a86c8", "--", "s"),
    "pgqueuer": ("PGQueuer", "#3a86c8", "-", "s"),
    "procrastinate-lent": ("Procrastinate, HTTP lent", "#3c9d5d", "--", "^"),
    "procrastinate": ("Procrastinate", "#3c9d5d", "-", "^"),
    "chunks": ("chunks of 5", "#a06cd5", "-", "v"),
    "sequential": ("sequential loop", "#b08a00", "-", "d"),
}
"""Title, colour, dashes and marker, in the order of the legend."""

CALLS: Final = 4
"""Calls of a message."""


def draw(comparisons: list[dict[str, Any]], out: str) -> None:
    """Draw the comparisons with the latency that most of them have."""
    latency = statistics.mode(each["latency"] for each in comparisons)
    drawn = sorted((each for each in comparisons if each["latency"] == latency), key=lambda each: each["in_flight"])
    figure, axes = plt.subplots(figsize=(8, 5), facecolor="none")
    axes.set_facecolor("none")
    levels = [each["in_flight"] for each in drawn]
    if latency:
        ideal = [level / latency / CALLS for level in levels]
        axes.plot(levels, ideal, ":", color=GREY, label="ideal: in flight / latency")
    for name, (title, colour, dashes, marker) in LINES.items():
        points = [
            (each["in_flight"], each["contestants"][name]["calls_per_second"] / CALLS)
            for each in drawn
            if name in each["contestants"]
        ]
        if points:
            axes.plot(*zip(*points, strict=True), dashes, color=colour, marker=marker, markersize=5, label=title)
    axes.set(xscale="log", yscale="log", xlabel="messages in flight", ylabel="messages per second")
    axes.set_xticks(levels, [str(level) for level in levels])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title(f"{latency * 1000:.0f} ms a call, {CALLS} calls a message, one process", color=GREY)
    axes.grid(color=GREY, alpha=0.25)
    figure.legend(loc="outside right upper", frameon=False, labelcolor=GREY)
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    mpl.rcParams.update(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "trioqueue",
            "font.family": "sans-serif",
            "figure.constrained_layout.use": True,
            "axes.edgecolor": GREY,
            "axes.labelcolor": GREY,
            "xtick.color": GREY,
            "ytick.color": GREY,
        }
    )
    draw(json.load(sys.stdin), sys.argv[1])
