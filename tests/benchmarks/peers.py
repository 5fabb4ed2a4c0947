"""The peers' environment: Procrastinate, PGQueuer and what they are run with, pinned, away from trioqueue's own.

matplotlib, which draws what was measured, is there too.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]

ENVIRONMENT: Final = REPOSITORY / ".venv-peers"

PINS: Final = (
    "procrastinate==3.10.0",
    "pgqueuer==1.6.0",
    "asyncpg==0.32.0",
    "psycopg[binary,pool]==3.3.9",
    "httpx==0.28.1",
    "httptools==0.9.0",
    "uvloop==0.23.0",
    "matplotlib==3.11.2",
)
"""The newest releases when the numbers of docs/performance.md were taken."""

_MARKER: Final = ENVIRONMENT / "pins.txt"


def peers_program(name: str) -> Path:
    """A program of the peers' environment, which is made if it is not there as it is pinned."""
    wanted = "\n".join(PINS)
    if not (_MARKER.exists() and _MARKER.read_text(encoding="utf-8") == wanted):
        print("installing the peers into .venv-peers ...", file=sys.stderr)
        _make()
        _MARKER.write_text(wanted, encoding="utf-8")
    return ENVIRONMENT / "bin" / name


def _make() -> None:
    python = ENVIRONMENT / "bin" / "python"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *PINS], check=True)
    else:
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, *PINS], check=True)
