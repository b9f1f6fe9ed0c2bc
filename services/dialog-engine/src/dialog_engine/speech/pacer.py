"""Decides when a chunk may be sent, and computes the playback position. Pure: times are arguments.

Audio is sent at most `LEAD_MS` ahead of playback. More would have to be discarded after an
interruption, and less would not cover the jitter of a viewer's network. The position is computed by
`dialog_media.playback_clock`; positions that viewers report are in
`dialog_media.playback_positions`. `tts_streamer.py` waits and sends.
"""

from typing import Final

from dialog_media.playback_clock import LEAD_MS, PlaybackClock

STEP_MS: Final = 120
"""Ms of audio that are sent together when the lead is reached.

Every process on the way then wakes up once for three chunks.
"""

PAUSE_POLL_MS: Final = 50
"""Interval in ms at which waiting code checks whether a pause is over."""


class Pacer:
    """Schedule of one turn. Offsets are ms of audio from the turn's first sample."""

    def __init__(self, lead_ms: float = LEAD_MS) -> None:
        self._lead, self._clock = lead_ms, PlaybackClock()
        self.sent_ms = 0.0
        self.gaps = 0
        """How often a chunk was ready only after its time."""

    def wait_ms(self, offset_ms: float, now_ms: float) -> float:
        """Return how long the chunk at this offset has to wait; 0 when it may be sent at once."""
        ahead = offset_ms - self._clock.position_ms(now_ms) - self._lead
        if self._clock.started_at_ms is None or ahead <= 0:
            return 0.0
        return PAUSE_POLL_MS if self._clock.paused else ahead + STEP_MS

    def sent(self, offset_ms: float, duration_ms: float, now_ms: float) -> None:
        """Note a chunk that was sent."""
        first = self._clock.started_at_ms is None
        if self._clock.place(offset_ms, now_ms) and not first:
            self.gaps += 1
        self.sent_ms = offset_ms + duration_ms

    @property
    def paused(self) -> bool:
        """Whether the position stands still."""
        return self._clock.paused

    def pause(self, now_ms: float) -> None:
        """Let the position stand still."""
        self._clock.pause(now_ms)

    def resume(self, now_ms: float) -> None:
        """Let the position go on from where it stands."""
        self._clock.resume(now_ms)

    def position_ms(self, now_ms: float) -> float:
        """Return the audio time that plays now, within what was sent."""
        return min(self.sent_ms, max(0.0, self._clock.position_ms(now_ms)))

    def time_until_ms(self, offset_ms: float, now_ms: float) -> float:
        """Return how long until an offset plays; 0 when it has, or when nothing was sent yet.

        During a pause, when that is not known, it is a little longer than what is missing.
        """
        if self._clock.started_at_ms is None:
            return 0.0
        missing = self._clock.time_until_ms(offset_ms, now_ms)
        return missing + PAUSE_POLL_MS if self._clock.paused else missing
