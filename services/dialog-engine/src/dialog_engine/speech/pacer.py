"""When a chunk may be sent, and where the ear is. Pure: times in ms are arguments.

The ear is reckoned by the clock from the first chunk on; a chunk that is ready only after its time has come moves the clock.
"""

from typing import Final

LEAD_MS: Final = 600
"""Sound is sent at most this far ahead of the ear: enough for a viewer's jitter, little to throw away at a STOP."""

STEP_MS: Final = 120
"""Once that far ahead, it waits until this much may be sent at once: one waking of every hop for three chunks."""

PAUSE_POLL_MS: Final = 50
"""While the ear stands still, whoever waits for it looks again after this time."""


class Pacer:
    """One turn's schedule. Offsets are audio time within the turn."""

    def __init__(self, lead_ms: float = LEAD_MS) -> None:
        self._lead = lead_ms
        self._zero: float | None = None
        self._paused: float | None = None
        self.sent_ms = 0.0
        self.gaps = 0

    def wait_ms(self, offset_ms: float, now_ms: float) -> float:
        """How long the chunk at this offset has to wait; 0 when it may go at once."""
        if self._paused is not None and self._zero is not None:
            # What is within the lead of where the ear stands may still go.
            return 0.0 if self._zero + offset_ms - self._lead <= self._paused else PAUSE_POLL_MS
        if self._zero is None or self._zero + offset_ms - self._lead <= now_ms:
            return 0.0
        return self._zero + offset_ms + STEP_MS - self._lead - now_ms

    def sent(self, offset_ms: float, duration_ms: float, now_ms: float) -> None:
        """A chunk went out."""
        if self._zero is None:
            self._zero = now_ms - offset_ms
        elif self._paused is None and now_ms > self._zero + offset_ms:
            self._zero = now_ms - offset_ms
            self.gaps += 1
        self.sent_ms = offset_ms + duration_ms

    @property
    def paused(self) -> bool:
        """Whether the ear stands still."""
        return self._paused is not None

    def pause(self, now_ms: float) -> None:
        """The ear stands still."""
        if self._paused is None:
            self._paused = now_ms

    def resume(self, now_ms: float) -> None:
        """The ear goes on from where it stood."""
        if self._paused is not None and self._zero is not None:
            self._zero += now_ms - self._paused
        self._paused = None

    def position_ms(self, now_ms: float) -> float:
        """Audio time that is sounding now."""
        if self._zero is None:
            return 0.0
        return min(
            self.sent_ms, max(0.0, (now_ms if self._paused is None else self._paused) - self._zero)
        )

    def time_until_ms(self, offset_ms: float, now_ms: float) -> float:
        """How long until the ear reaches an offset; 0 when it has, or when nothing was sent yet."""
        if self._zero is None:
            return 0.0
        if self._paused is not None:
            return max(0.0, self._zero + offset_ms - self._paused) + PAUSE_POLL_MS
        return max(0.0, self._zero + offset_ms - now_ms)
