"""Frames of `/ws/input`. Without a subprotocol it is the legacy dialect; `vtuber.v2` adds the typed events of a turn.

Up, legacy: `{"type":"text","action":"data_chunk","chunk_id":0}` + a binary frame (or inline `text`), then `{"action":"upload_complete"}`.
Up, v2: TEXT in one frame; the microphone: MIC_START, then binary frames, then MIC_STOP. input-handler passes these on to asr (`/ws/asr`),
whose answers are SPEECH_STARTED, PARTIAL, UTTERANCE and ERROR; the client gets FINAL or SPEECH_DROPPED for each UTTERANCE.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, StringConstraints, TypeAdapter

from dialog_contracts import limits
from dialog_contracts.http import RequestMeta
from dialog_contracts.model import SessionId, SnakeModel, TraceParent, WireModel


class TaskAssigned(SnakeModel):
    """First frame from the server. Without `?sessionId=`, `task_id` is the sessionId."""

    type: Literal["system"] = "system"
    action: Literal["task_id_assigned"] = "task_id_assigned"
    task_id: str


class UploadFrame(SnakeModel):
    """A client's text frame of the legacy dialect."""

    type: str | None = None
    action: Literal["data_chunk", "upload_complete"]
    chunk_id: int | None = None
    text: Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)] | None = None
    lang: str | None = None


class UploadProcessed(SnakeModel):
    """Answer to `upload_complete`, after the turn was really taken (or really refused)."""

    type: Literal["system"] = "system"
    action: Literal["upload_processed"] = "upload_processed"
    status: Literal["queued", "error"]
    task_id: str
    error: str | None = None


class SayText(WireModel):
    """v2: one message of the person at the page, whole in one frame."""

    type: Literal["TEXT"] = "TEXT"
    content: str = Field(description="1 to 4 000 characters.")
    meta: RequestMeta = RequestMeta()
    last_event_id: str | None = Field(
        default=None, description="With a requestId sent before: resume after this event."
    )
    traceparent: TraceParent | None = None


class TurnEvent(WireModel):
    """v2: an SSE event of a turn, as a frame: `event` and `data` as in `POST /chat/stream`, with the turn it belongs to."""

    type: Literal["TURN_EVENT"] = "TURN_EVENT"
    session_id: SessionId
    request_id: str | None = None
    id: str | None = None
    event: Literal["control", "text-delta", "error", "done"]
    data: dict[str, object]


class MicStart(WireModel):
    """v2: binary frames of microphone audio follow, mono, each of `frameMs` (the last may be shorter)."""

    type: Literal["MIC_START"] = "MIC_START"
    session_id: SessionId
    format: Literal["pcm_s16le", "opus"]
    sample_rate: int = Field(ge=8_000, le=48_000)
    frame_ms: Literal[20] = 20
    lang: str | None = Field(
        default=None, max_length=35, description="`zh` or `en`; absent: found out."
    )


class MicStop(WireModel):
    """v2: the microphone is off."""

    type: Literal["MIC_STOP"] = "MIC_STOP"


class SpeechStarted(WireModel):
    """v2, from the server: somebody began to speak. A reply that sounds is paused until it is known what it was."""

    type: Literal["SPEECH_STARTED"] = "SPEECH_STARTED"
    at_ms: int = Field(default=0, ge=0, description="Audio time since MIC_START.")


class Partial(WireModel):
    """v2, from the server: what was understood so far."""

    type: Literal["PARTIAL"] = "PARTIAL"
    text: str
    speech_ms: int = Field(default=0, ge=0, description="How long there has been speech.")


class Utterance(WireModel):
    """From asr to input-handler: somebody has said something and waits now. Empty text: there were no words in it."""

    type: Literal["UTTERANCE"] = "UTTERANCE"
    text: Annotated[str, StringConstraints(max_length=limits.MAX_CONTENT_CHARS)]
    lang: str | None = None
    start_ms: int = Field(ge=0, description="Audio time since MIC_START.")
    end_ms: int = Field(ge=0)


class Final(WireModel):
    """v2, from the server: what was understood, and the turn it became."""

    type: Literal["FINAL"] = "FINAL"
    text: str
    turn: int


class UserSpeaking(WireModel):
    """Somebody speaks to the character, or has finished: her viewers see that she listens. Nothing depends on its arrival."""

    type: Literal["SPOKEN_TO"] = "SPOKEN_TO"
    session_id: SessionId
    microphone: str = Field(
        default="",
        max_length=64,
        description="which one of the session's: several people may speak at once",
    )
    speaking: bool


class SpeechDropped(WireModel):
    """v2, from the server: what was heard becomes no turn, and a reply that was paused for it goes on."""

    type: Literal["SPEECH_DROPPED"] = "SPEECH_DROPPED"
    reason: Literal["noise", "back_channel"]


class InputError(WireModel):
    """v2, from the server: a frame was refused; the connection stays."""

    type: Literal["ERROR"] = "ERROR"
    code: str
    message: str
    request_id: str | None = None


FromAsr = Annotated[SpeechStarted | Partial | Utterance | InputError, Discriminator("type")]
ToAsr = Annotated[MicStart | MicStop, Discriminator("type")]
FROM_ASR: TypeAdapter[SpeechStarted | Partial | Utterance | InputError] = TypeAdapter(FromAsr)
TO_ASR: TypeAdapter[MicStart | MicStop] = TypeAdapter(ToAsr)
