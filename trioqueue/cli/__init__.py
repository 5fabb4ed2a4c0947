"""The command line: reads arguments, calls what bootstrap.py builds, and says what came of it."""
