"""Runs the worker in forks of itself that die at a point, again and again, without importing everything each time.

`python -m tests.support.chaos.crash_runner` reads orders from its standard input, one JSON object a line, and answers
each with one. It has one thread and no event loop, so that it may be forked.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio
from typed_settings import Secret

from tests.support.chaos.await_points import Point, Watch
from trioqueue.bootstrap import make_worker, open_database, open_gateway, open_model
from trioqueue.settings import Settings


@attrs.frozen
class Order:
    """What one process is to do.

    Attributes:
        settings: Of the worker; those of `SECRETS` as plain text.
        until_empty: Whether it works until nothing is due, or on one batch.
        deadline: Seconds after which it drains; None for never.
        watched: Whether it tells the points that it meets.
        dies_at: The point at which it dies.
    """

    settings: dict[str, Any]
    until_empty: bool = False
    deadline: float | None = None
    watched: bool = False
    dies_at: Point | None = None


SECRETS: Final = frozenset({"database_url", "openrouter_api_key", "gateway_key"})


async def _work(order: Order) -> None:
    values: dict[str, Any] = {
        name: Secret(value) if name in SECRETS else value for name, value in order.settings.items()
    }
    settings = Settings(**values)
    async with open_model(settings) as model, open_gateway(settings) as gateway, open_database(settings) as database:
        await make_worker(database, model, gateway).run_once(deadline=order.deadline, until_empty=order.until_empty)


def _obey(order: Order, tell: Callable[[Point], None]) -> None:
    def meet(point: Point) -> None:
        if point == order.dies_at:
            os._exit(1)
        if order.watched:
            tell(point)

    if order.watched or order.dies_at is not None:
        Watch(meet).begin()
    trio.run(_work, order)


def _in_a_fork(order: Order) -> dict[str, Any]:
    """Do it in a child process, and return whether it died, the points that it met, and what it raised."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the log goes
        with os.fdopen(writing, "w") as out:
            json.dump(_outcome(order), out)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else {"died": True, "points": [], "error": None}


def _outcome(order: Order) -> dict[str, Any]:
    points: list[Point] = []
    error = None
    try:
        _obey(order, points.append)
    except BaseException:  # noqa: BLE001 - it is told to who gave the order
        error = traceback.format_exc()
    finally:
        sys.settrace(None)
    return {"died": False, "points": [attrs.astuple(point) for point in points], "error": error}


def main() -> None:
    """Obey until the end of the orders."""
    for line in sys.stdin:
        values = json.loads(line)
        dies_at = values.pop("dies_at")
        order = Order(**values, dies_at=None if dies_at is None else Point(**dies_at))
        sys.stdout.write(json.dumps(_in_a_fork(order)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
