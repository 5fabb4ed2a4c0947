"""The command line of `scripts/benchmark`."""

import argparse
from collections.abc import Sequence
from typing import Final

import trio

from tests.benchmarks import churn, claims, idle, memory, plot, processes, sequential, start, throughput_mode, wakeup
from tests.benchmarks.modes import Mode

MODES: Final[tuple[Mode, ...]] = (
    throughput_mode.MODE,
    plot.MODE,
    processes.MODE,
    memory.MODE,
    start.MODE,
    wakeup.MODE,
    idle.MODE,
    claims.MODE,
    churn.MODE,
)


def main(arguments: Sequence[str] | None = None, *, description: str | None = None) -> None:
    """Read the arguments, measure, print."""
    given = _parser(description).parse_args(arguments)
    trio.run(given.run, given)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=sequential.run)
    sequential.add_arguments(parser)
    _add_json(parser)
    modes = parser.add_subparsers(title="modes", metavar="MODE")
    for mode in MODES:
        added = modes.add_parser(mode.name, help=mode.help, description=mode.help)
        added.set_defaults(run=mode.run)
        mode.add_arguments(added)
        _add_json(added)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON value")
