"""`trioqueue` as a process of its own, as a user starts it."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import attrs
import orjson
import trio

TRIOQUEUE = Path(sys.executable).with_name("trioqueue")

PATIENCE = 60.0
"""Seconds after which a test gives up."""


@attrs.frozen
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return orjson.loads(self.out)


@attrs.frozen
class Command:
    """Starts `trioqueue` in a directory, with variables on top of an environment that has none of its own."""

    directory: Path
    variables: Mapping[str, str]

    def environment(self, **changes: str | None) -> dict[str, str]:
        """The environment of the process; None takes a variable away."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TRIOQUEUE_", "OPENR"))}
        wanted = {**inherited, **self.variables, **changes}
        return {name: value for name, value in wanted.items() if value is not None}

    async def __call__(self, *arguments: object, **changes: str | None) -> Outcome:
        """Run a command to its end; `changes` are environment variables."""
        return await self._run([TRIOQUEUE, *map(str, arguments)], None, changes)

    async def into(self, out: IO[bytes], *arguments: object) -> Outcome:
        """Run a command to its end, with another standard output."""
        return await self._run([TRIOQUEUE, *map(str, arguments)], out, {})

    async def in_shell(self, script: str) -> Outcome:
        """Run a script of the shell in which `$0` is the command."""
        return await self._run(["sh", "-c", script, str(TRIOQUEUE)], None, {})

    async def _run(
        self, words: Sequence[str | Path], out: IO[bytes] | None, changes: Mapping[str, str | None]
    ) -> Outcome:
        to: dict[str, Any] = {"capture_stdout": True} if out is None else {"stdout": out}
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                words,
                cwd=self.directory,
                env=self.environment(**changes),
                capture_stderr=True,
                check=False,
                **to,
            )
        return Outcome(done.returncode, (done.stdout or b"").decode(), done.stderr.decode())

    def start(self, *arguments: object, **changes: str | None) -> "subprocess.Popen[bytes]":
        """Start a command and leave it running; the caller waits for it."""
        return subprocess.Popen(
            [TRIOQUEUE, *map(str, arguments)],
            cwd=self.directory,
            env=self.environment(**changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
