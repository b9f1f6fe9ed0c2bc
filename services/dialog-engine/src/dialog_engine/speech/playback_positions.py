"""The playback position of a turn, from the reports of all output-handlers.

The client of the user who sent the message decides, wherever it is connected. Without a report of
it, the median viewer decides. The module has no clock: times in ms are arguments.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

FRESH_MS: Final = 1_000
"""Age in ms at which a report is ignored, relative to the newest one.

An output-handler with viewers reports more often. One that has stopped has no viewers.
"""


@dataclass(frozen=True, slots=True)
class _Report:
    offset_ms: float
    at: float
    speaker: bool
    viewers: int


class PlaybackPositions:
    """The positions of one turn. `source` identifies an output-handler."""

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
        """Store the position of one output-handler's viewers.

        `speaker`: it is the position of the client that sent the message. `viewers`: number of
        viewers that it stands for.
        """
        self._reports[source] = _Report(offset_ms, now, speaker, max(1, viewers))

    def clear(self) -> None:
        """Forget all reports, because playback was paused since."""
        self._reports.clear()

    def current(self, now: float) -> float | None:
        """Return the played audio time in ms at `now`, or None without a report."""
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
