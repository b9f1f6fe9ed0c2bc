"""How far a turn was played, as its listeners report it. Pure: times in ms are arguments.

A session may have many viewers, each a little behind or ahead. One position counts for all: that of
the client whose user spoke, wherever it is connected, and without it the median of all viewers. The
stored reply is truncated there after an interruption.

output-handler collects the reports of its viewers; the engine collects one report of each
output-handler, which stands for several viewers.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

FRESH_MS: Final = 1_000
"""Viewers report every 200 ms. A report that is older than this is not counted any more."""

Source = TypeVar("Source", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Report:
    offset_ms: float
    at_ms: float
    speaker: bool
    viewers: int

    def position_ms(self, now_ms: float) -> float:
        return self.offset_ms + now_ms - self.at_ms


class PlaybackPositions(Generic[Source]):
    """The reports of one turn, by source.

    `keep_last`: the newest report counts, however old it is; otherwise a source that has not
    reported for `FRESH_MS` is not counted.
    """

    def __init__(self, *, keep_last: bool = False) -> None:
        self._reports: dict[Source, _Report] = {}
        self._keep_last = keep_last

    def report(
        self,
        source: Source,
        offset_ms: float,
        now_ms: float,
        *,
        speaker: bool = False,
        viewers: int = 1,
    ) -> None:
        """Keep a report: `source` plays audio time `offset_ms` now.

        `speaker`: it is the client whose user spoke. `viewers`: for how many it speaks.
        """
        self._reports[source] = _Report(offset_ms, now_ms, speaker, max(1, viewers))

    def remove(self, source: Source) -> None:
        """Drop the report of a source that has left."""
        self._reports.pop(source, None)

    def clear(self) -> None:
        """Drop all reports, because the position stood still or moved meanwhile."""
        self._reports.clear()

    def current(self, now_ms: float) -> float | None:
        """Return the audio time that plays now for the session; None without a report."""
        fresh = self._fresh(now_ms)
        decisive = sorted(
            [report for report in fresh if report.speaker] or fresh,
            key=lambda report: report.position_ms(now_ms),
        )
        half, seen = sum(report.viewers for report in decisive) / 2, 0
        for report in decisive:
            seen += report.viewers
            if seen >= half:
                return report.position_ms(now_ms)
        return None

    def speaker_reports(self, now_ms: float) -> bool:
        """Return whether the client whose user spoke is among the sources."""
        return any(report.speaker for report in self._fresh(now_ms))

    def count(self, now_ms: float) -> int:
        """Return how many viewers the reports stand for."""
        return sum(report.viewers for report in self._fresh(now_ms))

    def _fresh(self, now_ms: float) -> list[_Report]:
        since = now_ms
        if self._keep_last:
            since = max((report.at_ms for report in self._reports.values()), default=now_ms)
        return [report for report in self._reports.values() if since - report.at_ms <= FRESH_MS]
