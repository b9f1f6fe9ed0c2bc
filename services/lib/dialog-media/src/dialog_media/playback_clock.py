"""Where a turn's audio plays, by the clock. Pure: times in ms are arguments.

Audio time runs from 0 at the first sample of a turn. `started_at_ms` is the time at which that
sample plays; the position is the time since then. A chunk that is ready only after its time has
come moves the start, so that the position never runs ahead of what was sent. During a pause the
position stands still, and resuming moves the start by the length of the pause.

The engine and output-handler keep a clock each, since their machines have no common time. The page
does the same in `clock.js`.
"""

from typing import Final

LEAD_MS: Final = 600
"""How far audio is sent ahead of the position: enough for a viewer's jitter, little to throw away
at a STOP."""


class PlaybackClock:
    """The clock of one turn. `started_at_ms`: audio offset 0 plays then.

    None before the first chunk.
    """

    __slots__ = ("paused_at_ms", "started_at_ms")

    def __init__(self, started_at_ms: float | None = None) -> None:
        self.started_at_ms = started_at_ms
        self.paused_at_ms: float | None = None

    @property
    def paused(self) -> bool:
        """Whether the position stands still."""
        return self.paused_at_ms is not None

    def pause(self, now_ms: float) -> None:
        """Let the position stand still."""
        if self.paused_at_ms is None:
            self.paused_at_ms = now_ms

    def resume(self, now_ms: float) -> None:
        """Let the position go on from where it stands."""
        if self.paused_at_ms is not None and self.started_at_ms is not None:
            self.started_at_ms += now_ms - self.paused_at_ms
        self.paused_at_ms = None

    def place(self, offset_ms: float, now_ms: float, *, slack_ms: float = 0.0) -> bool:
        """Place a chunk at audio time `offset_ms`; return whether it moved the start.

        The first chunk sets the start, and so does one that comes more than `slack_ms` after its
        time. No chunk is late during a pause.
        """
        if self.started_at_ms is None:
            if self.paused_at_ms is not None:
                # Paused before its first sound: the turn stands at its beginning.
                self.paused_at_ms = now_ms
        elif self.paused_at_ms is not None or not self.is_late(offset_ms, now_ms, slack_ms):
            return False
        self.started_at_ms = now_ms - offset_ms
        return True

    def is_late(self, offset_ms: float, now_ms: float, slack_ms: float = 0.0) -> bool:
        """Return whether this audio time is past by more than `slack_ms`."""
        return self.started_at_ms is not None and now_ms > self.started_at_ms + offset_ms + slack_ms

    def position_ms(self, now_ms: float) -> float:
        """Return the audio time that plays now.

        0 before the first chunk, negative before its time.
        """
        if self.started_at_ms is None:
            return 0.0
        return (now_ms if self.paused_at_ms is None else self.paused_at_ms) - self.started_at_ms

    def time_until_ms(self, offset_ms: float, now_ms: float) -> float:
        """Return how long until an audio time plays; 0 when it has. A pause counts as no time."""
        return max(0.0, offset_ms - self.position_ms(now_ms))
