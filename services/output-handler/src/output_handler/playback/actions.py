"""What the playback machine decides, and its session carries out."""

from dataclasses import dataclass, field
from typing import Literal

from dialog_contracts.ingest import Start, Stop
from dialog_contracts.viewer import Phase, ViewerError
from output_handler.playback.turn import AudioFrame


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """A turn begins: forget positions and what viewers hold back of the turn before."""

    start: Start


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send an event (JSON) to viewers with a subprotocol."""

    data: str


@dataclass(frozen=True, slots=True)
class SendPhase:
    """STATE; `at_ms` is `startedAt` on this output-handler's clock."""

    phase: Phase
    turn: int
    at_ms: float


@dataclass(frozen=True, slots=True)
class SendAudio:
    """Send a chunk to viewers, and collect it for legacy viewers."""

    sound: AudioFrame


@dataclass(frozen=True, slots=True)
class SendError:
    """Send an error in both dialects."""

    error: ViewerError


@dataclass(frozen=True, slots=True)
class SendReply:
    """Send a turn's text and its collected sound to legacy viewers."""

    text: str


@dataclass(frozen=True, slots=True)
class FlushViewers:
    """Drop queued audio at every viewer, and send STOP and STATE INTERRUPTED."""

    stop: Stop
    at_ms: float


@dataclass(frozen=True, slots=True)
class SendToEngine:
    """Send a frame (JSON) to the engine of the present turn."""

    data: str


@dataclass(frozen=True, slots=True)
class ScheduleIdle:
    """The turn has died away in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CancelIdle:
    """The turn goes on, or another one begins."""


@dataclass(frozen=True, slots=True)
class SchedulePauseEnd:
    """Resume by itself after the longest pause."""


@dataclass(frozen=True, slots=True)
class CancelPauseEnd:
    """The pause is over."""


@dataclass(frozen=True, slots=True)
class AwaitFile:
    """The legacy pipeline synthesizes this turn's reply as one file."""


@dataclass(frozen=True, slots=True)
class PublishStop:
    """Let every output-handler stop its copy of this file."""

    stop: Stop


@dataclass(frozen=True, slots=True)
class ReportPlayedText:
    """A file was stopped: history and engines keep only the played text."""

    stop: Stop


@dataclass(frozen=True, slots=True)
class CountPause:
    """A pause, or its end, took effect."""

    action: Literal["PAUSE", "RESUME"]


@dataclass(frozen=True, slots=True)
class CountGap:
    """So many chunks before this one are missing."""

    missing: int


@dataclass(frozen=True, slots=True)
class MeasureStop:
    """Milliseconds from STOP to the engine's STOP_ACK."""

    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Log:
    """One log event of the present turn."""

    event: str
    level: Literal["debug", "info", "warning"] = "info"
    fields: dict[str, object] = field(default_factory=dict)


Action = (
    OpenTurn
    | Broadcast
    | SendPhase
    | SendAudio
    | SendError
    | SendReply
    | FlushViewers
    | SendToEngine
    | ScheduleIdle
    | CancelIdle
    | SchedulePauseEnd
    | CancelPauseEnd
    | AwaitFile
    | PublishStop
    | ReportPlayedText
    | CountPause
    | CountGap
    | MeasureStop
    | Log
)
