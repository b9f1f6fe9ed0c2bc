"""How far a turn was heard, from what each output-handler says of its viewers. Pure: times in ms come in as arguments.

The ear of a session is the client of whoever spoke, wherever it is connected; else the median viewer, over all output-handlers.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

FRESH_MS: Final = 1_000
"""Output-handlers report at least this often while anybody listens; one that stopped has nobody left."""


@dataclass(frozen=True, slots=True)
class _Report:
    offset_ms: float
    at: float
    speaker: bool
    viewers: int


class PlaybackPositions:
    """One turn. `source` tells output-handlers apart."""

    def __init__(self) -> None:
        self._reports: dict[Hashable, _Report] = {}

    def report(
        self,
        source: Hashable,
        offset_ms: float,
        now: float,
        *,
        speaker: bool = False,
        viewers: int = 1,
    ) -> None:
        """An output-handler reports where its viewers are."""
        self._reports[source] = _Report(offset_ms, now, speaker, max(1, viewers))

    def clear(self) -> None:
        """What was reported holds no longer: the ear stood still meanwhile."""
        self._reports.clear()

    def current(self, now: float) -> float | None:
        """Audio time that the session's ear has reached now; None where nobody has reported."""
        newest = max((report.at for report in self._reports.values()), default=0.0)
        fresh = [report for report in self._reports.values() if newest - report.at <= FRESH_MS]
        decisive = sorted(
            ([report for report in fresh if report.speaker] or fresh),
            key=lambda report: report.offset_ms - report.at,
        )
        half, seen = sum(report.viewers for report in decisive) / 2, 0
        for report in decisive:
            seen += report.viewers
            if seen >= half:
                return report.offset_ms + now - report.at
        return None
