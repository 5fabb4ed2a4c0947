"""Programs that stand in for PostgreSQL's, as shell scripts."""

from pathlib import Path


def program(folder: Path, name: str, script: str) -> None:
    """Make a program that does what a shell script says."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def postgres_of_version(folder: Path, version: str) -> Path:
    """Make a folder of programs that know their version and nothing else."""
    program(folder, "postgres", f"echo 'postgres (PostgreSQL) {version}'")
    program(folder, "initdb", "echo 'No space left on device' >&2; exit 1")
    return folder
