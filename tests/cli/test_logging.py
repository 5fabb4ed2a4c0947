"""Log lines tell what happened, and never a secret that happened to be near."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
import structlog

from trioqueue.cli.logging import configure_logging
from trioqueue.settings import LogFormat, LogLevel


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def fail_with(key: str) -> None:
    """Log an error from a frame that has a secret among its local variables."""
    headers = {"Authorization": f"Bearer {key}"}
    try:
        int(f"{len(headers)} header could not be sent")
    except ValueError:
        structlog.get_logger("test").exception("message failed", message_id="m1")


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_tracebacks_show_no_variables(capsys: pytest.CaptureFixture[str], log_format: LogFormat) -> None:
    """A traceback is written in every format, without the values of local variables."""
    configure_logging(LogLevel.INFO, log_format)
    fail_with("sk-or-very-secret")
    written = capsys.readouterr().err

    assert "1 header could not be sent" in written
    assert "very-secret" not in written


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """In JSON each line is an object with the event, its level, its time and what it is about."""
    configure_logging(LogLevel.INFO, LogFormat.JSON)
    structlog.get_logger("test").info("run paused", run_id="r1")
    line = orjson.loads(capsys.readouterr().err)

    assert (line["event"], line["level"], line["run_id"]) == ("run paused", "info", "r1")
    assert line["timestamp"].endswith("Z")


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """The level of the settings decides what is written."""
    configure_logging(LogLevel.WARNING, LogFormat.JSON)
    structlog.get_logger("test").info("nothing to see")

    assert capsys.readouterr().err == ""


def test_a_line_that_cannot_be_written_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk under the log, or a closed one, does not stop the work that is told of."""
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        configure_logging(LogLevel.INFO, LogFormat.JSON)
        structlog.get_logger("test").info("message sent")
        with suppress(OSError):
            full.close()
        structlog.get_logger("test").info("message sent")

        assert full.closed
