"""The data of one turn: sequence, clock, and the chunks that a late viewer needs. Pure.

Times are arguments.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start
from dialog_contracts.viewer import Phase
from dialog_contracts.writing_systems import is_cjk
from dialog_media.playback_clock import PlaybackClock

MAX_CLOCK_ERROR_MS: Final = 400
MAX_LATE_MS: Final = 40
"""How late a chunk may come before the turn's clock is moved; viewers buffer that much."""

TIMER_SLACK_MS: Final = 0.5
LATE_JOIN_BUFFER_MS: Final = 3_000
"""Chunks kept for late viewers and quick reloads."""


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A chunk as it is sent: the JSON of the engine, and binary when a viewer wants it."""

    seq: int
    offset_ms: int
    duration_ms: int
    json: str
    binary: bytes | None = None


class AudioSource(StrEnum):
    """Where the audio of a turn comes from."""

    ENGINE = "engine"
    FILE_AWAITED = "file_awaited"
    """The engine has sent the text; the legacy pipeline still synthesizes the file."""

    FILE = "file"


class Delivery(StrEnum):
    """How far a turn has been sent."""

    OPEN = "open"
    ENDED = "ended"
    """All was sent, END too; what was sent may still play."""

    ABANDONED = "abandoned"
    """Its engine is gone and no END was sent; an engine that announces it again goes on."""

    STOPPING = "stopping"
    """Viewers are silent; the engine's STOP_ACK is awaited."""

    STOPPED = "stopped"


class EngineState(StrEnum):
    """Whether frames of a turn arrive."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    """No frame has arrived for a while; the engine may only be late."""

    LOST = "lost"


@dataclass(slots=True)
class PlaybackTurn:
    """The data of one turn. Only `PlaybackState` writes to it.

    Times are ms on this output-handler's clock. `clock` says where the audio plays. `file_ms` is
    the length of the file that plays. `replied`: legacy viewers have their reply. `interrupted`: it was
    stopped by a user, so no path may begin it anew.
    """

    number: int
    flags: FlagSet
    opened_at_ms: float
    start_json: str
    source: AudioSource = AudioSource.ENGINE
    delivery: Delivery = Delivery.OPEN
    engine: EngineState = EngineState.ALIVE
    phase: Phase = Phase.THINKING
    clock: PlaybackClock = field(default_factory=PlaybackClock)
    stop_asked_at_ms: float | None = None
    next_seq: int | None = None
    sent_ms: int = 0
    file_ms: int = 0
    text: str = ""
    text_ended: bool = False
    replied: bool = False
    interrupted: bool = False
    recent: deque[AudioFrame] = field(default_factory=deque)

    @classmethod
    def none(cls) -> Self:
        """Return the turn before the first one: number 0, ended, idle."""
        return cls(0, FlagSet(), 0.0, "", delivery=Delivery.ENDED, phase=Phase.IDLE, replied=True)

    @classmethod
    def from_start(
        cls, start: Start, now_ms: float, source: AudioSource = AudioSource.ENGINE
    ) -> Self:
        """Return a turn that begins now; `start.ear_ms` is its position for a late subscriber."""
        stamped = start.model_copy(update={"started_at": now_ms})
        return cls(
            start.turn,
            start.flags,
            now_ms,
            stamped.to_json(),
            source,
            clock=PlaybackClock(None if start.ear_ms is None else now_ms - start.ear_ms),
        )

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, complete or not."""
        over = self.delivery in (Delivery.ENDED, Delivery.ABANDONED)
        return over or self.engine is EngineState.LOST

    @property
    def stopped(self) -> bool:
        """Whether viewers have stopped playing it."""
        return self.delivery in (Delivery.STOPPING, Delivery.STOPPED)

    @property
    def paused(self) -> bool:
        """Whether the position stands still."""
        return self.clock.paused

    @property
    def audio_started_at_ms(self) -> float | None:
        """Time at which audio offset 0 plays; None before the first chunk."""
        return self.clock.started_at_ms

    def check_sequence(self, seq: int) -> int:
        """Return how many chunks are missing before this one, or -1 for one that came before.

        The first chunk sets the baseline.
        """
        expected, self.next_seq = self.next_seq, max(seq + 1, self.next_seq or 0)
        if expected is None:
            return 0
        return max(-1, seq - expected)

    def schedule(self, offset_ms: int, duration_ms: int, now_ms: float) -> bool:
        """Place a chunk on the clock; return whether viewers need a new `startedAt`."""
        self.sent_ms = max(self.sent_ms, offset_ms + duration_ms)
        moved = self.clock.place(offset_ms, now_ms, slack_ms=MAX_LATE_MS)
        if not moved and (self.paused or self.phase is Phase.SPEAKING):
            return False
        self.phase = Phase.SPEAKING
        return True

    def buffer(self, sound: AudioFrame, now_ms: float) -> None:
        """Keep a chunk for late viewers until it is long past."""
        self.recent.append(sound)
        position_ms = self.position_ms(now_ms)
        while (
            self.recent
            and self.recent[0].offset_ms + self.recent[0].duration_ms
            < position_ms - LATE_JOIN_BUFFER_MS
        ):
            self.recent.popleft()

    def position_ms(self, now_ms: float) -> float:
        """Return the audio time that plays now, or at which the turn is paused."""
        return self.clock.position_ms(now_ms)

    def may_have_played(self, offset_ms: float, now_ms: float) -> bool:
        """Return whether a viewer's report can be true.

        Viewers' clocks are off by `MAX_CLOCK_ERROR_MS` at most, and nothing plays before it is sent.
        """
        return offset_ms <= min(self.sent_ms, self.position_ms(now_ms) + MAX_CLOCK_ERROR_MS)

    def upcoming(self, now_ms: float) -> list[AudioFrame]:
        """Return the chunks that a viewer who joins now can still play."""
        position_ms = self.position_ms(now_ms)
        return [sound for sound in self.recent if sound.offset_ms + sound.duration_ms > position_ms]

    def all_chunks(self) -> list[AudioFrame]:
        """Return all chunks so far, or none if some were dropped already."""
        chunks = list(self.recent)
        return chunks if chunks and chunks[0].seq == 0 and chunks[-1].seq == len(chunks) - 1 else []

    def remaining_ms(self, now_ms: float) -> float:
        """Return how many ms of what was sent are still to be played."""
        if self.audio_started_at_ms is None:
            return 0.0
        return max(0.0, self.sent_ms - self.position_ms(now_ms))

    def audible(self, now_ms: float) -> bool:
        """Return whether audio that was sent has not been played yet."""
        return (
            self.audio_started_at_ms is not None
            and not self.stopped
            and self.position_ms(now_ms) < self.sent_ms
        )

    def played_text(self, now_ms: float) -> str:
        """Return the text played so far of a turn that plays from a file.

        It is in proportion to the time, up to the end of a word.
        """
        if self.audio_started_at_ms is None or not self.file_ms:
            return ""
        share = min(1.0, max(0.0, self.position_ms(now_ms) / self.file_ms))
        at = int(len(self.text) * share)
        while 0 < at < len(self.text) and _within_word(self.text[at - 1], self.text[at]):
            at += 1
        return self.text[:at]

    def playing(self, now_ms: float) -> bool:
        """Return whether a STOP has an effect: thinking, speaking, or sent but not yet played."""
        if self.stopped:
            return False
        # A timer that was set for the end of the audio may ring a moment before it.
        return not self.ended or self.position_ms(now_ms) < self.sent_ms - TIMER_SLACK_MS


def _within_word(before: str, after: str) -> bool:
    # In scripts without spaces every character is a word.
    return all((char.isalnum() and not is_cjk(char)) or char in "'’" for char in (before, after))
