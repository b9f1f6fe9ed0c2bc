"""Frames of `/ws/ingest/tts`, the one internal socket between an engine and an output-handler. It carries all sessions.

Down (engine → output-handler): START, SPEECH_CHUNK, TEXT_DELTA, END, STOP_ACK; STOP_RESULT answers a STOP that asks; ALIVE says that
the engine is there while it has nothing to say.
Back: STOP, PAUSE, RESUME, SUBSCRIBE, UNSUBSCRIBE, PLAYED. Nothing else flows back. PAUSE and RESUME go down too, to the output-handlers
that did not hear them.
"""

from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from dialog_contracts import limits
from dialog_contracts.http import FlagSet
from dialog_contracts.model import Count, SessionId, TraceParent, Turn, WireModel
from dialog_contracts.visemes import SEED_NAMES

# Checked here so that nothing after it can fail on one chunk and take the socket of all sessions with it.
_BASE64: Final = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class AudioFormat(WireModel):
    """Format of a turn's chunks. There is one inside the system; the field lets that change without a new dialect."""

    encoding: Literal["pcm_s16le"] = "pcm_s16le"
    sample_rate: int = limits.SAMPLE_RATE
    channels: Literal[1] = 1
    chunk_ms: int = limits.CHUNK_MS


class Start(WireModel):
    """CONTROL START: a turn begins; sent before chunk 0. output-handler adds `startedAt` for viewers."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["START"] = "START"
    session_id: SessionId
    turn: Turn
    epoch: int = Field(
        ge=0, description="Epoch of the owner's lease; a lower one than last seen is refused."
    )
    traceparent: TraceParent | None = None
    flags: FlagSet
    format: AudioFormat = AudioFormat()
    user_text: str | None = Field(
        default=None, description="What was asked, so that every viewer's page can show it."
    )
    ear_ms: int | None = Field(
        default=None,
        ge=0,
        description="For a subscriber in mid-turn: the audio time that sounds now.",
    )
    started_at: float | None = Field(
        default=None, description="ms on output-handler's clock; set by output-handler."
    )
    path: Literal["sync", "legacy"] | None = Field(
        default=None, description="`legacy`: the fallback answers this turn; absent: sync."
    )
    reason: str | None = Field(
        default=None, description="With legacy: why the main path did not answer."
    )


class SpeechChunk(WireModel):
    """Audio of 20–60 ms with the mouth's shape at its start."""

    type: Literal["SPEECH_CHUNK"] = "SPEECH_CHUNK"
    session_id: SessionId
    turn: Turn
    seq: Count = Field(description="Counts from 0 in each turn, without gaps.")
    pcm: str = Field(max_length=16_384, pattern=_BASE64, description="base64 of s16le samples.")
    viseme: dict[str, float] = Field(default={}, description="Oculus-15 weights, 0 to 1.")
    ts: float = Field(description="Unix seconds at which the chunk was sent.")
    offset_ms: Count = Field(description="Audio time within the turn.")
    text_start: Count = Field(
        default=0, description="Where, in the reply, the words of this chunk begin (characters)."
    )
    text_end: Count = 0

    @property
    def duration_ms(self) -> int:
        """Length of the audio, from the length of its base64, in ms."""
        return (len(self.pcm) * 3 // 4 - self.pcm.count("=", -2)) // limits.BYTES_PER_MS


class TextDelta(WireModel):
    """A piece of the reply, for captions. `textStart` is its place in the reply."""

    type: Literal["TEXT_DELTA"] = "TEXT_DELTA"
    session_id: SessionId
    turn: Turn
    content: str
    text_start: Count = 0
    eos: bool = False


class End(WireModel):
    """CONTROL END: all chunks of the turn have been sent. `audioMs` is their sum."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["END"] = "END"
    session_id: SessionId
    turn: Turn
    audio_ms: int | None = None
    voice_follows: bool | None = Field(
        default=None,
        description="SYNC_TTS_STREAMING off: the voice comes as one file; output-handler holds END back until then.",
    )


class StopAck(WireModel):
    """CONTROL STOP_ACK: the turn is stopped; no chunk of it follows.

    Without `heardText` it was withdrawn and not interrupted. Where that was before its first word, the legacy chain may still answer under
    the same number, with a START of its own.
    """

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["STOP_ACK"] = "STOP_ACK"
    session_id: SessionId
    turn: Turn
    heard_text: str | None = Field(
        default=None, description="The words that were heard, as they will be remembered."
    )


class Stop(WireModel):
    """CONTROL STOP, back to the engine; the edge fills in the audible turn. To viewers: flush what you hold of this turn."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["STOP"] = "STOP"
    session_id: SessionId
    turn: Turn | None = None
    reason: str | None = Field(default=None, max_length=limits.MAX_META_CHARS)
    ask: str | None = Field(
        default=None,
        max_length=64,
        description="Between output-handler and engines: STOP_RESULT is wanted, and carries this name.",
    )
    heard_text: str | None = Field(
        default=None,
        description="Of a reply that a voice file spoke: what was heard of it, which output-handler alone knows.",
    )


class PlaybackControl(WireModel):
    """CONTROL PAUSE: somebody began to speak, or only coughed. CONTROL RESUME: it was nothing. Both ways, and to viewers.

    A turn that is paused stands still where it was heard; RESUME goes on from there, after a STATE with the later `startedAt`.
    """

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["PAUSE", "RESUME"]
    session_id: SessionId
    turn: Turn | None = None
    ask: str | None = Field(default=None, max_length=64, description="As in STOP.")


StopOutcome = Literal["stopped", "refused", "nothing_sounding", "unknown"]


class StopResult(WireModel):
    """CONTROL STOP_RESULT: what an engine made of a STOP, PAUSE or RESUME that asked. `unknown`: it does not know the session."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["STOP_RESULT"] = "STOP_RESULT"
    session_id: SessionId
    ask: str = Field(max_length=64)
    outcome: StopOutcome
    turn: Turn | None = None


class Heartbeat(WireModel):
    """CONTROL ALIVE: sent where nothing else was for a moment. An engine that says it, and then falls silent, is taken for dead."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["ALIVE"] = "ALIVE"


class Subscribe(WireModel):
    """CONTROL SUBSCRIBE or UNSUBSCRIBE: this output-handler has, or no longer has, viewers of the session."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["SUBSCRIBE", "UNSUBSCRIBE"]
    session_id: SessionId


class Played(WireModel):
    """How far a turn was heard: audio time within the turn."""

    type: Literal["PLAYED"] = "PLAYED"
    session_id: SessionId
    turn: Turn
    offset_ms: int = Field(ge=0, le=24 * 3600 * 1000)
    speaker: bool | None = Field(
        default=None, description="This client asked the turn: what it heard is what was heard."
    )
    viewers: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="From an output-handler: of how many viewers this is the median.",
    )


def _kind(value: object) -> str:
    if isinstance(value, dict):
        kind, action = value.get("type"), value.get("action")
    else:
        kind, action = getattr(value, "type", None), getattr(value, "action", None)
    return f"{kind}.{action}" if kind == "CONTROL" else str(kind)


ToOutputFrame = Annotated[
    Annotated[Start, Tag("CONTROL.START")]
    | Annotated[SpeechChunk, Tag("SPEECH_CHUNK")]
    | Annotated[TextDelta, Tag("TEXT_DELTA")]
    | Annotated[End, Tag("CONTROL.END")]
    | Annotated[StopAck, Tag("CONTROL.STOP_ACK")]
    | Annotated[StopResult, Tag("CONTROL.STOP_RESULT")]
    | Annotated[Heartbeat, Tag("CONTROL.ALIVE")]
    | Annotated[PlaybackControl, Tag("CONTROL.PAUSE")]
    | Annotated[PlaybackControl, Tag("CONTROL.RESUME")],
    Discriminator(_kind),
]
ToEngineFrame = Annotated[
    Annotated[Stop, Tag("CONTROL.STOP")]
    | Annotated[Subscribe, Tag("CONTROL.SUBSCRIBE")]
    | Annotated[Subscribe, Tag("CONTROL.UNSUBSCRIBE")]
    | Annotated[Played, Tag("PLAYED")]
    | Annotated[PlaybackControl, Tag("CONTROL.PAUSE")]
    | Annotated[PlaybackControl, Tag("CONTROL.RESUME")],
    Discriminator(_kind),
]
TO_OUTPUT: TypeAdapter[
    Start | SpeechChunk | TextDelta | End | StopAck | StopResult | Heartbeat | PlaybackControl
] = TypeAdapter(ToOutputFrame)
TO_ENGINE: TypeAdapter[Stop | Subscribe | Played | PlaybackControl] = TypeAdapter(ToEngineFrame)


def oculus(weights: dict[str, float]) -> dict[str, float]:
    """Weights under Oculus names, the seed's `AA` and `M` mapped; names that nobody knows are kept for newer readers."""
    return {SEED_NAMES.get(name, name): weight for name, weight in weights.items()}
