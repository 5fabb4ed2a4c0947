"""How often garbage is looked for."""

import gc
from typing import Final

MOST_NEW: Final = 20_000
"""Objects that are made before those not freed since are looked through, a few megabytes of them. Python's own number
is 700. A message in flight is some 40 objects that live for seconds, and hardly any of them ends in a cycle: with 500
in flight a worker spent a seventh of its time on looking through them, stood still for 45 ms at a time, and found
nothing. Loading the modules of a command takes a tenth longer, too."""


def collect_rarely() -> None:
    """Look for garbage less often."""
    gc.set_threshold(MOST_NEW)
