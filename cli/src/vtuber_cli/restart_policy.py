"""How long to wait before a process that ended is started again: ever longer while it keeps ending, and never for ever."""

from typing import Final

FIRST_S: Final = 0.3
LONGEST_S: Final = 15.0
STEADY_S: Final = 60.0
"""A process that lived so long has nothing to do with its crashes before."""

OFTEN: Final = 4


class RestartPolicy:
    """Of one process. Times in s."""

    def __init__(self) -> None:
        self._crashes = 0

    def pause(self, lived_s: float) -> float:
        """It ended after so long; it is started again after this."""
        if lived_s >= STEADY_S:
            self._crashes = 0
        self._crashes += 1
        return min(FIRST_S * float(2 ** min(self._crashes - 1, 16)), LONGEST_S)

    @property
    def any(self) -> bool:
        """Whether it ever ended."""
        return self._crashes > 0

    @property
    def keeps_ending(self) -> bool:
        """Whether nobody should wait for it any more."""
        return self._crashes >= OFTEN
