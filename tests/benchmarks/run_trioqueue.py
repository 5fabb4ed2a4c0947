"""`trioqueue run --drain`, the command itself, as a contestant. Its settings come from the environment."""

from tests.benchmarks.orders import await_start, order


def main() -> None:
    """Load what the command needs, wait for the word, run it."""
    from trioqueue.cli import work  # noqa: F401 - loaded before the start, as those of the peers are
    from trioqueue.cli.app import main as trioqueue

    in_flight = order().in_flight
    await_start()
    trioqueue(
        ["run", "--drain", "--deadline", "0", "--concurrency", str(in_flight), "--batch-size", str(min(in_flight, 500))]
    )


if __name__ == "__main__":
    main()
