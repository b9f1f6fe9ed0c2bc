"""One turn as output-handler sees it: order, clock, and what a late viewer needs. Pure: times in ms come in as arguments."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Self

from dialog_contracts.http import FlagSet
from dialog_contracts.ingest import Start
from dialog_contracts.viewer import Phase

MAX_LATE_MS: Final = 40
"""A chunk may come this long after its time before the turn's clock is moved; viewers hold that much back."""

FIRST_WITHOUT_SPACES: Final = 0x2E80
"""Scripts written without spaces begin here: Chinese, Japanese; Korean, which has spaces, counts syllables as words."""

TIMER_SLACK_MS: Final = 0.5
LATE_JOIN_BUFFER_MS: Final = 3_000
"""Chunks kept for late viewers and quick reloads."""


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A chunk as it is sent: JSON as it came, binary when any viewer wants it."""

    seq: int
    offset_ms: int
    duration_ms: int
    json: str
    binary: bytes | None = None


@dataclass(slots=True)
class PlaybackTurn:
    """`zero_ms` is the clock's value at which audio offset 0 sounds.

    `from_file`: its sound is a file of the legacy chain, and no engine speaks in it any more; `awaiting_file`: until that file is there;
    `whole_ms`: length of the file. `replied`: viewers of the older dialect have their answer. `paused_at`: the clock's value since which
    it stands still. `lost`: nothing is heard of its engine, which may only stand still for a moment. `interrupted`: somebody stopped it; no
    path may begin it anew, whatever it has been given to meanwhile.
    """

    turn: int
    flags: FlagSet
    opened_at_ms: float
    start_json: str
    phase: Phase = Phase.THINKING
    audio_started_at_ms: float | None = None
    next_seq: int | None = None
    sent_ms: int = 0
    text: str = ""
    text_ended: bool = False
    ended: bool = False
    stopped: bool = False
    stop_asked_at: float | None = None
    recent: deque[AudioFrame] = field(default_factory=deque)
    from_file: bool = False
    awaiting_file: bool = False
    whole_ms: int = 0
    replied: bool = False
    paused_at: float | None = None
    lost: bool = False
    interrupted: bool = False

    @classmethod
    def from_start(cls, start: Start, now_ms: float) -> Self:
        """A turn that begins now; in mid-turn for a subscriber that comes late (`ear_ms`)."""
        stamped = start.model_copy(update={"started_at": now_ms})
        audio_started_at_ms = None if start.ear_ms is None else now_ms - start.ear_ms
        return cls(
            start.turn,
            start.flags,
            now_ms,
            stamped.to_json(),
            audio_started_at_ms=audio_started_at_ms,
        )

    def check_sequence(self, seq: int) -> int:
        """How many chunks are missing before this one; the first one seen sets the baseline. -1: seen before."""
        expected, self.next_seq = self.next_seq, max(seq + 1, self.next_seq or 0)
        if expected is None:
            return 0
        return max(-1, seq - expected)

    def schedule(self, offset_ms: int, duration_ms: int, now_ms: float) -> bool:
        """Place a chunk on the clock; true when viewers must learn a new `zero_ms`."""
        self.sent_ms = max(self.sent_ms, offset_ms + duration_ms)
        if self.paused_at is not None and self.audio_started_at_ms is not None:
            # Nothing is late while time stands still.
            return False
        if self.paused_at is not None:
            # It was paused before it sounded: it stands at its beginning.
            self.paused_at = now_ms
        if (
            self.audio_started_at_ms is None
            or now_ms > self.audio_started_at_ms + offset_ms + MAX_LATE_MS
        ):
            self.audio_started_at_ms = now_ms - offset_ms
            self.phase = Phase.SPEAKING
            return True
        if self.phase is not Phase.SPEAKING:
            self.phase = Phase.SPEAKING
            return True
        return False

    def buffer(self, sound: AudioFrame, now_ms: float) -> None:
        """Remember a chunk until it is long past."""
        self.recent.append(sound)
        position_ms = self.position_ms(now_ms)
        while (
            self.recent
            and self.recent[0].offset_ms + self.recent[0].duration_ms
            < position_ms - LATE_JOIN_BUFFER_MS
        ):
            self.recent.popleft()

    def position_ms(self, now_ms: float) -> float:
        """Audio time that sounds now, or at which it stands."""
        if self.audio_started_at_ms is None:
            return 0.0
        return (now_ms if self.paused_at is None else self.paused_at) - self.audio_started_at_ms

    def pause(self, now_ms: float) -> None:
        """Stand still."""
        self.paused_at = now_ms

    def resume(self, now_ms: float) -> None:
        """Go on from where it stood."""
        if self.paused_at is not None and self.audio_started_at_ms is not None:
            self.audio_started_at_ms += now_ms - self.paused_at
        self.paused_at = None

    def upcoming(self, now_ms: float) -> list[AudioFrame]:
        """Chunks that a viewer who joins now can still hear."""
        position_ms = self.position_ms(now_ms)
        return [sound for sound in self.recent if sound.offset_ms + sound.duration_ms > position_ms]

    def file_text_position(self) -> list[AudioFrame]:
        """All chunks so far, if none of them was given up yet; else nothing."""
        chunks = list(self.recent)
        return chunks if chunks and chunks[0].seq == 0 and chunks[-1].seq == len(chunks) - 1 else []

    def audible(self, now_ms: float) -> bool:
        """Whether sound that was sent is not yet heard."""
        return (
            self.audio_started_at_ms is not None
            and not self.stopped
            and self.position_ms(now_ms) < self.sent_ms
        )

    def played_text(self, now_ms: float) -> str:
        """Of a turn that is played from a file: the words heard so far, by the share of its time. One that had begun is whole."""
        if self.audio_started_at_ms is None or not self.whole_ms:
            return ""
        share = min(1.0, max(0.0, self.position_ms(now_ms) / self.whole_ms))
        at = int(len(self.text) * share)
        while 0 < at < len(self.text) and _within_word(self.text[at - 1], self.text[at]):
            at += 1
        return self.text[:at]

    def playing(self, now_ms: float) -> bool:
        """Whether a STOP would silence anything: thinking, speaking, or sent but not yet heard."""
        if self.stopped:
            return False
        # A timer that was set for the end of the sound may ring a hair before it.
        return not self.ended or self.position_ms(now_ms) < self.sent_ms - TIMER_SLACK_MS


def _within_word(before: str, after: str) -> bool:
    # In scripts without spaces every character is a word.
    return all(
        (char.isalnum() and ord(char) < FIRST_WITHOUT_SPACES) or char in "'’"
        for char in (before, after)
    )
