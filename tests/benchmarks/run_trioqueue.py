"""`trioqueue run --drain`, the command itself, as a contestant. Its settings come from the environment."""

from tests.benchmarks.orders import await_end, await_start, order


def main() -> None:
    """Load what the command needs, wait for the word, run it."""
    from trioqueue.cli import work  # noqa: F401 - loaded before the start, as those of the peers are
    from trioqueue.cli.app import main as trioqueue

    in_flight = str(order().in_flight)
    batch_size = str(min(order().in_flight, 500))
    await_start()
    try:
        trioqueue(["run", "--drain", "--deadline", "0", "--concurrency", in_flight, "--batch-size", batch_size])
    except SystemExit as ended:
        if not ended.code:
            await_end()
        raise


if __name__ == "__main__":
    main()
