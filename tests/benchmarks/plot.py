"""`scripts/benchmark plot`: draws what `throughput --json` has measured.

matplotlib draws, in the peers' environment: nothing else needs it.
"""

import argparse
from pathlib import Path
from typing import Final

import trio

from tests.benchmarks.modes import Mode
from tests.benchmarks.peers import REPOSITORY, peers_program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to where."""
    parser.add_argument("measured", type=Path, metavar="FILE.json", help="what `throughput --json` printed")
    parser.add_argument("--out", type=Path, metavar="FILE.svg", required=True)


async def run(given: argparse.Namespace) -> None:
    """Draw."""
    await draw(given.measured.read_text(encoding="utf-8"), given.out)


async def draw(measured: str, out: Path) -> None:
    """Write an SVG of throughput against messages in flight, from the JSON of comparisons."""
    command = [
        str(peers_program("python")),
        "-m",
        "tests.benchmarks.draw_throughput",
        str(await trio.Path(out).resolve()),
    ]
    await trio.run_process(command, stdin=measured.encode(), cwd=REPOSITORY)


MODE: Final = Mode("plot", "Draw what `throughput --json` has measured.", add_arguments, run)
