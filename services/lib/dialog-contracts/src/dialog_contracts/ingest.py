"""Frames of `/ws/ingest/tts`, the internal socket between an engine and an output-handler.

One socket carries all sessions. From the engine to the output-handler: START, SPEECH_CHUNK,
TEXT_DELTA, END and STOP_ACK; STOP_RESULT answers a STOP with `ask`; ALIVE is a heartbeat while
there is nothing else to send.

From the output-handler to the engine: STOP, PAUSE, RESUME, SUBSCRIBE, UNSUBSCRIBE and PLAYED, and
nothing else. The engine also sends PAUSE and RESUME, to the output-handlers that did not receive
the request themselves.
"""

from typing import Annotated, Final, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from dialog_contracts import limits
from dialog_contracts.http import FlagSet
from dialog_contracts.model import Count, SessionId, TraceParent, Turn, WireModel
from dialog_contracts.visemes import SEED_NAMES

# Checked here, because a later failure on one chunk would close the socket of all sessions.
_BASE64: Final = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


class AudioFormat(WireModel):
    """Audio format of a turn's chunks.

    The system uses one format; the field allows a change without a new dialect.
    """

    encoding: Literal["pcm_s16le"] = "pcm_s16le"
    sample_rate: int = limits.SAMPLE_RATE
    channels: Literal[1] = 1
    chunk_ms: int = limits.CHUNK_MS


class Start(WireModel):
    """CONTROL START: a turn begins; sent before chunk 0.

    output-handler adds `startedAt` for viewers.
    """

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
    """Audio of 20–60 ms with the mouth shape at its start."""

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
        """Length of the audio in ms, computed from the length of its base64."""
        return (len(self.pcm) * 3 // 4 - self.pcm.count("=", -2)) // limits.BYTES_PER_MS


class TextDelta(WireModel):
    """A piece of the reply, for captions. `textStart` is its position in the reply."""

    type: Literal["TEXT_DELTA"] = "TEXT_DELTA"
    session_id: SessionId
    turn: Turn
    content: str
    text_start: Count = 0
    eos: bool = False


class End(WireModel):
    """CONTROL END: all chunks of the turn have been sent. `audioMs` is their total length."""

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

    Without `heardText` the turn was withdrawn and not interrupted. Where that happened before its
    first word, the legacy pipeline may still answer it under the same number, with a START of its
    own.
    """

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["STOP_ACK"] = "STOP_ACK"
    session_id: SessionId
    turn: Turn
    heard_text: str | None = Field(
        default=None, description="The words that were heard, as they will be remembered."
    )


class Stop(WireModel):
    """CONTROL STOP: stop a turn.

    Towards the engine, output-handler fills in the turn that is playing. Towards viewers it means:
    discard the buffered audio of this turn.
    """

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
    """CONTROL PAUSE and RESUME, in both directions and to viewers.

    PAUSE: a user began to make a sound, which may be speech or a cough. RESUME: it was not an
    interruption. A paused turn keeps its playback position; after RESUME it continues from there,
    after a STATE with the later `startedAt`.
    """

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["PAUSE", "RESUME"]
    session_id: SessionId
    turn: Turn | None = None
    ask: str | None = Field(default=None, max_length=64, description="As in STOP.")


StopOutcome = Literal["stopped", "refused", "nothing_sounding", "unknown"]


class StopResult(WireModel):
    """CONTROL STOP_RESULT: an engine's result for a STOP, PAUSE or RESUME with `ask`.

    `unknown`: the engine does not know the session.
    """

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["STOP_RESULT"] = "STOP_RESULT"
    session_id: SessionId
    ask: str = Field(max_length=64)
    outcome: StopOutcome
    turn: Turn | None = None


class Heartbeat(WireModel):
    """CONTROL ALIVE: sent when nothing else was sent for a moment.

    An engine that has sent it and then stops sending is considered dead.
    """

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["ALIVE"] = "ALIVE"


class Subscribe(WireModel):
    """CONTROL SUBSCRIBE, UNSUBSCRIBE: this output-handler has, or lost, viewers of the session."""

    type: Literal["CONTROL"] = "CONTROL"
    action: Literal["SUBSCRIBE", "UNSUBSCRIBE"]
    session_id: SessionId


class Played(WireModel):
    """Playback position of a turn: audio time within the turn, in ms."""

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
    """Return the weights under Oculus names; the seed's `AA` and `M` are mapped.

    Unknown names are kept for newer readers.
    """
    return {SEED_NAMES.get(name, name): weight for name, weight in weights.items()}
