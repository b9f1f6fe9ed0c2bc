"""How far a turn was heard, from what its viewers report. Pure: times in ms come in as arguments.

The ear of a session is the client of whoever spoke, if it reports; else the median viewer.
"""

from dataclasses import dataclass
from statistics import median_low
from typing import Final, Generic, TypeVar

FRESH_MS: Final = 1_000
"""Viewers report every 200 ms; one that has not for so long says nothing about the present."""

MAX_AHEAD_MS: Final = 400
"""A viewer's clock may be off by so much, and its report older than the network makes it; further ahead nobody can hear."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Report:
    offset_ms: float
    at: float
    speaker: bool


class ViewerPositions(Generic[V]):
    """One turn. `V` tells viewers apart."""

    def __init__(self) -> None:
        self._reports: dict[V, _Report] = {}

    def report(
        self,
        viewer: V,
        offset_ms: float,
        now: float,
        *,
        clock_ms: float,
        sent_ms: float,
        speaker: bool = False,
    ) -> bool:
        """A viewer reports. False: it cannot be. `clock_ms` is what sounds by the clock, `sent_ms` what was sent so far."""
        if offset_ms > min(sent_ms, clock_ms + MAX_AHEAD_MS):
            return False
        self._reports[viewer] = _Report(offset_ms, now, speaker)
        return True

    def remove(self, viewer: V) -> None:
        """A viewer left."""
        self._reports.pop(viewer, None)

    def current(self, now: float) -> float | None:
        """Audio time that the session's ear has reached now; None where nobody has reported lately."""
        fresh = self._fresh(now)
        decisive = [report for report in fresh if report.speaker] or fresh
        return (
            median_low(report.offset_ms + now - report.at for report in decisive)
            if decisive
            else None
        )

    def speaker_reports(self, now: float) -> bool:
        """Whether the client of whoever spoke is among those who report here."""
        return any(report.speaker for report in self._fresh(now))

    def count(self, now: float) -> int:
        """How many viewers report."""
        return len(self._fresh(now))

    def _fresh(self, now: float) -> list[_Report]:
        return [report for report in self._reports.values() if now - report.at <= FRESH_MS]
