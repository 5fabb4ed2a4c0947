"""The commands, and what becomes of an error.

Commands are imported when they are called: `trioqueue run` starts every minute from cron, and need not load what a
demo shows.
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import cyclopts

from trioqueue import __version__
from trioqueue.cli.garbage import collect_rarely
from trioqueue.cli.streams import ReaderGone, forget_output, prepare_streams
from trioqueue.domain.errors import TrioqueueError

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
"""It could not work: database, credentials, gateway."""
EXIT_USAGE: Final = 2
"""Bad usage or settings; nothing was changed."""
EXIT_DEADLINE: Final = 75
"""The deadline came first and work is left (EX_TEMPFAIL of sysexits.h)."""


class UsageError(TrioqueueError):
    """The command was called with something that it cannot take; nothing was changed."""


app = cyclopts.App(
    name="trioqueue",
    help="Drains outreach campaigns: claims due messages, writes, splits and sends them, and records everything.",
    version=__version__,
)
app.command("trioqueue.cli.demo:demo", help="Show it at work on this machine alone, with a sample campaign.")
app.command("trioqueue.cli.schema:migrate", help="Bring the schema of the database up to date.")
campaign = cyclopts.App(name="campaign", help="Start campaigns.")
campaign.command("trioqueue.cli.campaign:start", help="Import leads and start a run that writes to each of them, now.")
app.command(campaign)
app.command("trioqueue.cli.work:run", help="Send one batch of due messages, and exit.")
app.command("trioqueue.cli.work:worker", help="Send messages as they become due, until SIGTERM or SIGINT.")
app.command("trioqueue.cli.status:status", help="Show how far runs are.")
runs = cyclopts.App(name="runs", help="Pause, resume and cancel runs.")
runs.command("trioqueue.cli.runs:pause", help="Pause a running run.")
runs.command("trioqueue.cli.runs:resume", help="Resume a paused run, with a larger budget if need be.")
runs.command("trioqueue.cli.runs:cancel", help="Cancel a run for good; the messages that wait are skipped.")
app.command(runs)
messages = cyclopts.App(name="messages", help="Look through messages, and settle or retry them.")
messages.command("trioqueue.cli.messages:list_messages", name="list", help="List messages, the last changed first.")
messages.command("trioqueue.cli.messages:show_message", name="show", help="Show a message, its parts and its log.")
messages.command("trioqueue.cli.messages:retry", help="Try a message again that has failed or was skipped.")
messages.command("trioqueue.cli.messages:confirm", help="Say of an unconfirmed message that its part has arrived.")
messages.command(
    "trioqueue.cli.messages:resend", help="Say of an unconfirmed message that its part has not arrived; send it again."
)
app.command(messages)
app.command("trioqueue.cli.doctor:doctor", help="Check everything that a worker needs, and say what to do.")
app.command("trioqueue.cli.show_settings:settings", help="Print each setting with its value and where it comes from.")
app.command("trioqueue.cli.simulator:simulator", help="Run a simulated model and gateway to try things against.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, and exit with its code."""
    collect_rarely()
    prepare_streams()
    from trioqueue.cli.output import Output  # which looks at the streams

    try:
        code = app(
            arguments,
            console=Output(),
            backend="trio",
            result_action="return_value",
            print_error=False,
            exit_on_error=False,
        )
    except BaseException as error:
        code = exit_code(error)
        if code is None:
            raise
    sys.exit(code or EXIT_DONE)


def exit_code(error: BaseException) -> int | None:
    """Say what went wrong on standard error and return the exit code; None for an error that nobody foresaw."""
    from trioqueue.worker.shutdown import StoppedAtOnce

    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, StoppedAtOnce):
            return 128 + leaf.signal_number
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return 128 + signal.SIGINT
    if any(isinstance(leaf, ReaderGone) for leaf in leaves):
        forget_output()
        return 128 + signal.SIGPIPE
    if not all(isinstance(leaf, TrioqueueError | cyclopts.CycloptsError) for leaf in leaves):
        return None
    for line in "\n".join(map(str, leaves)).splitlines():
        print(f"trioqueue: {line}", file=sys.stderr)  # noqa: T201 - this is the command line
    return EXIT_USAGE if any(isinstance(leaf, _usage_errors()) for leaf in leaves) else EXIT_FAILED


def _usage_errors() -> tuple[type[Exception], ...]:
    from trioqueue.domain.budgets import InvalidLimits
    from trioqueue.domain.campaigns import InvalidCampaign
    from trioqueue.domain.leads import LeadsFileError
    from trioqueue.http.posts import UnusableEndpoint
    from trioqueue.http.proxies import UnusableProxy
    from trioqueue.postgres.campaigns import RunNotThere
    from trioqueue.postgres.errors import InvalidConninfo
    from trioqueue.postgres.messages import MessageRefused, NoSuchMessage
    from trioqueue.settings import SettingsError

    return (
        cyclopts.CycloptsError,
        UsageError,
        InvalidCampaign,
        InvalidConninfo,
        InvalidLimits,
        LeadsFileError,
        MessageRefused,
        NoSuchMessage,
        RunNotThere,
        SettingsError,
        UnusableEndpoint,
        UnusableProxy,
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
