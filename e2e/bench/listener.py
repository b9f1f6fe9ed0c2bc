"""A viewer that plays a speech as the page does, on a network that delays every chunk by up to 50 ms, and counts how often it ran dry."""

import random
from dataclasses import dataclass, field

JITTER_MS = 50.0
DEVICE_MS = 60.0
"""What a viewer adds to `startedAt`, as the page does."""

WHOLE_MS = 2.0
"""Offsets and starts are told in whole or in rounded ms; what differs by less is the same."""


@dataclass
class Listener:
    """Told what comes off the wire and when.

    All times are ms of output-handler's clock, which on one machine is everybody's.
    """

    turn: int = 0
    started_at: float = 0.0
    audio_ms: float = 0.0
    ended: bool = False
    late: int = 0
    """Chunks that came after their moment."""
    moved: int = 0
    """Times at which the whole turn was put off, because its next chunk was late for everybody."""
    holes: int = 0
    """Places at which audio is missing between two chunks."""
    ran_out: int = 0
    """1 where nothing came any more, and nobody had said that it was over."""
    least_ms: float = 1e9
    chance: random.Random = field(default_factory=lambda: random.Random(50))
    _held: bool = False

    @property
    def underruns(self) -> int:
        """Silences in the middle of the speech, whoever made them."""
        return self.late + self.moved + self.holes + self.ran_out

    def frame(self, frame: dict[str, object]) -> None:
        """A JSON frame of /ws/output."""
        if frame.get("type") == "STATE" and frame.get("phase") == "SPEAKING":
            self._speaks(int(str(frame["turn"])), float(str(frame["startedAt"])))
        elif frame.get("action") in ("PAUSE", "RESUME"):
            self._held = True
        elif frame.get("action") in ("END", "STOP_ACK"):
            self.ended = True

    def chunk(self, offset_ms: float, duration_ms: float, now_ms: float) -> None:
        """A chunk came off the wire; the network of this viewer has it a little longer."""
        spare = (
            self.started_at + offset_ms + DEVICE_MS - (now_ms + self.chance.uniform(0, JITTER_MS))
        )
        self.least_ms = min(self.least_ms, spare)
        self.late += spare < 0
        self.holes += offset_ms > self.audio_ms + WHOLE_MS
        self.audio_ms = max(self.audio_ms, offset_ms + duration_ms)

    def leave(self, now_ms: float) -> None:
        """Listened until here: the speech is over, or sounds."""
        self.ran_out = int(not self.ended and now_ms > self.started_at + self.audio_ms + DEVICE_MS)

    def _speaks(self, turn: int, started_at: float) -> None:
        if turn != self.turn:
            self.turn, self.audio_ms, self.ended = turn, 0.0, False
        elif started_at > self.started_at + WHOLE_MS and not self._held:
            # For this chunk there is time again, by the new start: the silence before it was heard
            # all the same.
            self.moved += 1
        self.started_at, self._held = started_at, False
