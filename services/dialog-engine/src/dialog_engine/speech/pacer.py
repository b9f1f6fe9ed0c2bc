"""Decides when a chunk may be sent, and computes the playback position.

Audio is sent at most 600 ms ahead of playback. More would have to be discarded after an
interruption, and less would not cover the jitter of a viewer's network.

The position is not measured but computed: it runs with the clock from the first chunk on. A chunk
that is ready only after its time moves the clock, since viewers heard silence meanwhile. A pause
stops the position, and chunks within 600 ms of it may still be sent.

The module has no clock: times in ms are arguments. `tts_streamer.py` waits and sends. Measured
positions of viewers are in `playback_positions.py`.
"""

from typing import Final

LEAD_MS: Final = 600
"""How far audio is sent ahead of playback, in ms."""

STEP_MS: Final = 120
"""Ms of audio that are sent together when the lead is reached.

Every process on the way then wakes up once for three chunks.
"""

PAUSE_POLL_MS: Final = 50
"""Interval in ms at which waiting code checks whether a pause is over."""


class Pacer:
    """Schedule of one turn. Offsets are ms of audio from the turn's first sample."""

    def __init__(self, lead_ms: float = LEAD_MS) -> None:
        self._lead = lead_ms
        self._zero: float | None = None
        self._paused: float | None = None
        self.sent_ms = 0.0
        self.gaps = 0

    def wait_ms(self, offset_ms: float, now_ms: float) -> float:
        """Return 0 if the chunk at this offset may be sent, else ms after which to ask again."""
        if self._paused is not None and self._zero is not None:
            # Chunks within the lead of the paused position may still be sent.
            return 0.0 if self._zero + offset_ms - self._lead <= self._paused else PAUSE_POLL_MS
        if self._zero is None or self._zero + offset_ms - self._lead <= now_ms:
            return 0.0
        return self._zero + offset_ms + STEP_MS - self._lead - now_ms

    def sent(self, offset_ms: float, duration_ms: float, now_ms: float) -> None:
        """Record that a chunk was sent.

        A late chunk is counted in `gaps` and moves the schedule.
        """
        if self._zero is None:
            self._zero = now_ms - offset_ms
        elif self._paused is None and now_ms > self._zero + offset_ms:
            self._zero = now_ms - offset_ms
            self.gaps += 1
        self.sent_ms = offset_ms + duration_ms

    @property
    def paused(self) -> bool:
        """Whether playback is paused."""
        return self._paused is not None

    def pause(self, now_ms: float) -> None:
        """Stop the position. A second call has no effect."""
        if self._paused is None:
            self._paused = now_ms

    def resume(self, now_ms: float) -> None:
        """Continue from the position at which `pause` stopped it."""
        if self._paused is not None and self._zero is not None:
            self._zero += now_ms - self._paused
        self._paused = None

    def position_ms(self, now_ms: float) -> float:
        """Return the audio time that plays now, at most what was sent."""
        if self._zero is None:
            return 0.0
        return min(
            self.sent_ms, max(0.0, (now_ms if self._paused is None else self._paused) - self._zero)
        )

    def time_until_ms(self, offset_ms: float, now_ms: float) -> float:
        """Return ms until playback reaches the offset; 0 if it has, or before the first chunk."""
        if self._zero is None:
            return 0.0
        if self._paused is not None:
            return max(0.0, self._zero + offset_ms - self._paused) + PAUSE_POLL_MS
        return max(0.0, self._zero + offset_ms - now_ms)
