"""List of all messages: each has a generated schema and an example in `examples/`."""

import re
from typing import Final

from dialog_contracts import (
    http,
    ingest,
    input_socket,
    legacy_chain,
    legacy_output,
    outbox,
    session_document,
    sse,
    turn_sample,
    viewer,
)
from dialog_contracts.model import SnakeModel, WireModel

MESSAGES: Final[tuple[type[WireModel], ...]] = (
    http.ChatRequest,
    http.StopRequest,
    http.StopReply,
    http.HoldReply,
    http.ErrorBody,
    http.TurnRecord,
    http.SessionTurns,
    http.SessionList,
    http.Readiness,
    sse.ControlEvent,
    sse.TextDeltaEvent,
    sse.ErrorEvent,
    sse.DoneEvent,
    ingest.Start,
    ingest.SpeechChunk,
    ingest.TextDelta,
    ingest.End,
    ingest.StopAck,
    ingest.StopResult,
    ingest.Heartbeat,
    ingest.PlaybackControl,
    ingest.Stop,
    ingest.Subscribe,
    ingest.Played,
    viewer.State,
    viewer.ViewerError,
    viewer.TimeRequest,
    viewer.TimeReply,
    input_socket.TaskAssigned,
    input_socket.UploadFrame,
    input_socket.UploadProcessed,
    input_socket.SayText,
    input_socket.TurnEvent,
    input_socket.MicStart,
    input_socket.MicStop,
    input_socket.SpeechStarted,
    input_socket.Partial,
    input_socket.Utterance,
    input_socket.Final,
    input_socket.SpeechDropped,
    input_socket.UserSpeaking,
    input_socket.InputError,
    legacy_output.LegacyReply,
    legacy_output.LegacyAudioChunk,
    legacy_output.LegacyAudioComplete,
    legacy_output.LegacyError,
    legacy_chain.UserInput,
    legacy_chain.AsrTask,
    legacy_chain.AsrResult,
    legacy_chain.TtsRequest,
    legacy_chain.TaskResponse,
    legacy_chain.MemoryUpdate,
    legacy_chain.AiResponse,
    legacy_chain.TtsError,
    legacy_chain.LtmRequest,
    legacy_chain.LtmResponse,
    outbox.OutboxEvent,
    turn_sample.TurnSample,
    session_document.SessionDocument,
    session_document.FlagTable,
    session_document.FlagAck,
)
"""Messages that are sent or stored by themselves."""

PARTS: Final[tuple[type[WireModel], ...]] = (
    SnakeModel,
    http.FlagSet,
    http.RequestMeta,
    http.ProviderReport,
    http.SessionSummary,
    ingest.AudioFormat,
    legacy_chain.ChainMeta,
    legacy_chain.AudioBlob,
    legacy_chain.AsrOptions,
    legacy_chain.MouthCue,
    legacy_chain.ResponseMetadata,
    legacy_chain.TtsFailure,
    session_document.Persona,
    session_document.SessionLlm,
    session_document.SessionVoice,
    sse.DoneStats,
)
"""Models that are sent only inside a message and are described in its schema."""


def file_name(message: type[WireModel]) -> str:
    """Return the file name of a message in `schemas/` and `examples/`: `speech-chunk.json`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", message.__name__).lower() + ".json"
