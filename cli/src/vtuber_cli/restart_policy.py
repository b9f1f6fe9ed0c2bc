"""Pauses between restarts of a process; they grow from 0.3 s to 15 s while it keeps ending."""

from typing import Final

FIRST_S: Final = 0.3
LONGEST_S: Final = 15.0
STEADY_S: Final = 60.0
"""Runtime in seconds after which earlier crashes are forgotten."""

OFTEN: Final = 4
"""Number of crashes in a row after which nothing waits for the process any more."""


class RestartPolicy:
    """Restarts of one process."""

    def __init__(self) -> None:
        self._crashes = 0

    def pause(self, lived_s: float) -> float:
        """Count a crash after `lived_s` seconds; return the seconds to wait before the restart."""
        if lived_s >= STEADY_S:
            self._crashes = 0
        self._crashes += 1
        return min(FIRST_S * float(2 ** min(self._crashes - 1, 16)), LONGEST_S)

    @property
    def any(self) -> bool:
        """Whether the process has crashed, not counting crashes that are forgotten."""
        return self._crashes > 0

    @property
    def keeps_ending(self) -> bool:
        """Whether it has crashed too often to wait for it."""
        return self._crashes >= OFTEN
