"""The wall clock, in the unit in which documents and acknowledgements carry it."""

import time


def unix_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
