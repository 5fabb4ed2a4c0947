"""HTTP for many small POSTs at once: a lean transport, one exchange with one deadline, and its result as a value."""
