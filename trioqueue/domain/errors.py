"""The root of trioqueue's exceptions.

Every error that trioqueue raises on purpose is a subclass, defined beside the code that raises it, and is matched
by its class. Its text says what happened, to which thing, and what to do next; it never holds a secret.
"""


class TrioqueueError(Exception):
    """Something trioqueue knows how to name went wrong."""
