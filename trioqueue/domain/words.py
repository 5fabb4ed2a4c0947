"""Words that depend on a number."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A number with what is counted.

    Args:
        count: How many there are.
        noun: What one of them is called.
        plural: What several are called; the noun with an s by default.
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
