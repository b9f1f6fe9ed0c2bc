"""The sockets and the Redis names as an AsyncAPI 3 document.

`receive` and `send` are seen from the server, as AsyncAPI defines them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dialog_contracts import (
    http,
    ingest,
    input_socket,
    legacy_output,
    limits,
    outbox,
    redis_names,
    turn_sample,
    viewer,
)
from dialog_contracts import legacy_chain as chain
from dialog_contracts.message_catalog import MESSAGES

_REF: Final = "#/components/schemas/{model}"
Models = Sequence[type[BaseModel]]


@dataclass(frozen=True, slots=True)
class Channel:
    """A socket or a Redis name with the messages that the server receives and sends."""

    address: str
    description: str
    receives: Models = ()
    sends: Models = ()
    parameters: dict[str, str] = field(default_factory=dict)
    binary: str | None = None


def _work(name: str, holds: str, message: type[BaseModel]) -> Channel:
    return Channel(
        name, f"List of work, LPUSH and BLMOVE from the right: {holds}.", sends=(message,)
    )


_SESSION: Final = "1 to 64 of A-Z a-z 0-9 _ -"
_SPEECH: Final = (ingest.Start, ingest.SpeechChunk, ingest.TextDelta, ingest.End, ingest.StopAck)
_TO_OUTPUT: Final = (*_SPEECH, ingest.StopResult, ingest.Heartbeat, ingest.PlaybackControl)
_TO_ENGINE: Final = (ingest.Stop, ingest.Subscribe, ingest.Played, ingest.PlaybackControl)
_V2_IN: Final = (input_socket.SayText, input_socket.MicStart, input_socket.MicStop)
_V2_OUT: Final = (
    input_socket.TurnEvent,
    input_socket.SpeechStarted,
    input_socket.Partial,
    input_socket.Final,
    input_socket.SpeechDropped,
    input_socket.InputError,
)

SOCKETS: Final = {
    "input": Channel(
        "/ws/input",
        "Input of a client. `?sessionId=` names the session (absent: the assigned task_id). "
        f"Text frames of at most {limits.MAX_JSON_FRAME_BYTES} "
        f"bytes, binary ones of at most {limits.MAX_BINARY_FRAME_BYTES}. "
        f"With `Sec-WebSocket-Protocol: {viewer.SUBPROTOCOL}` also the typed "
        "frames; without it the legacy dialect, whose acknowledgements are plain text.",
        receives=(input_socket.UploadFrame, *_V2_IN),
        sends=(input_socket.TaskAssigned, input_socket.UploadProcessed, *_V2_OUT),
        binary="After an UploadFrame: the announced bytes. After MIC_START: 20 ms of microphone audio each.",
    ),
    "output": Channel(
        "/ws/output/{id}",
        f"Output to a viewer. `Sec-WebSocket-Protocol`: `{viewer.SUBPROTOCOL}` (JSON), `{viewer.SUBPROTOCOL_BINARY}` (chunks as binary "
        f"frames), or none: the legacy dialect, text and one audio file after the turn. Closes: {viewer.CLOSE_TOO_SLOW} too slow, "
        f"{viewer.CLOSE_UNKNOWN_SESSION} illegal session id, 1008 too many bad frames.",
        receives=(ingest.Stop, ingest.Played, viewer.TimeRequest),
        sends=(
            *_SPEECH,
            ingest.Stop,
            ingest.PlaybackControl,
            viewer.State,
            viewer.ViewerError,
            viewer.TimeReply,
            legacy_output.LegacyReply,
            legacy_output.LegacyAudioChunk,
            legacy_output.LegacyAudioComplete,
            legacy_output.LegacyError,
        ),
        parameters={"id": f"The session, {_SESSION}."},
        binary=f"`{viewer.SUBPROTOCOL_BINARY}`: a chunk, its header as in `dialog_contracts/binary.py`. Legacy: a slice of the audio file.",
    ),
    "listening": Channel(
        "/ws/asr",
        "Internal: one microphone, from input-handler to asr. Text frames, and binary ones of at most a second of audio.",
        receives=(input_socket.MicStart, input_socket.MicStop),
        sends=(
            input_socket.SpeechStarted,
            input_socket.Partial,
            input_socket.Utterance,
            input_socket.InputError,
        ),
        binary="After MIC_START: the audio as announced.",
    ),
    "ingest": Channel(
        "/ws/ingest/tts",
        "Internal: one long-lived socket of an engine to an output-handler, for all sessions. "
        "Only STOP (and PAUSE and RESUME), subscriptions and positions flow back.",
        receives=_TO_OUTPUT,
        sends=_TO_ENGINE,
    ),
}

REDIS: Final = {
    "turnSamples": Channel(
        redis_names.TURN_SAMPLES,
        "Stream, bounded: one entry a turn.",
        sends=(turn_sample.TurnSample,),
    ),
    "eventsLtm": Channel(
        redis_names.EVENTS_LTM,
        "Stream: fields `eventId`, `type`, `payload` (this message as JSON) and `traceparent`.",
        sends=(outbox.OutboxEvent,),
    ),
    "eventsAnalytics": Channel(
        redis_names.EVENTS_ANALYTICS,
        "Stream: fields `eventId`, `type`, `payload` (this message as JSON) and `traceparent`.",
        sends=(outbox.OutboxEvent,),
    ),
    "history": Channel(
        redis_names.history("{id}"),
        "Sorted set by turn: the recent turns of a session, of both paths.",
        sends=(http.TurnRecord,),
        parameters={"id": f"The session, {_SESSION}."},
    ),
    "userInputQueue": _work(
        redis_names.USER_INPUT_QUEUE, "messages of users, for memory", chain.UserInput
    ),
    "chatRequests": _work(
        redis_names.CHAT_REQUESTS,
        "messages of users with their turn numbers, for chat-ai",
        chain.UserInput,
    ),
    "asrTasks": _work(redis_names.ASR_TASKS, "recordings to transcribe, for asr", chain.AsrTask),
    "asrFinals": _work(
        redis_names.ASR_FINALS, "transcripts that become turns, for input-handler", chain.AsrResult
    ),
    "ttsRequests": _work(redis_names.TTS_REQUESTS, "replies to speak, for tts", chain.TtsRequest),
    "ltmRequests": _work(
        redis_names.LTM_REQUESTS, "questions to long-term memory", chain.LtmRequest
    ),
    "memoryUpdates": Channel(
        redis_names.MEMORY_UPDATES,
        "Channel: both halves of each turn.",
        sends=(chain.MemoryUpdate,),
    ),
    "aiResponses": Channel(
        redis_names.AI_RESPONSES, "Channel: texts of generated replies.", sends=(chain.AiResponse,)
    ),
    "asrResults": Channel(
        redis_names.ASR_RESULTS, "Channel: transcripts.", sends=(chain.AsrResult,)
    ),
    "ttsErrors": Channel(
        redis_names.TTS_ERRORS, "Channel: failed syntheses.", sends=(chain.TtsError,)
    ),
    "ltmResponses": Channel(
        redis_names.LTM_RESPONSES,
        f"Channel; stored under `{redis_names.ltm_response('{requestId}')}` for a late reader.",
        sends=(chain.LtmResponse,),
    ),
    "fileStops": Channel(
        redis_names.PLAYBACK_STOPS,
        "Channel: a reply that plays from an audio file is stopped; each output-handler plays its own copy.",
        sends=(ingest.Stop,),
    ),
    "spokenTo": Channel(
        redis_names.USER_SPEAKING,
        "Channel: a user starts or stops speaking into a microphone; every output-handler shows it to its viewers.",
        sends=(input_socket.UserSpeaking,),
    ),
    "taskResponse": Channel(
        redis_names.task_response("{id}"),
        f"Channel: the response to a turn; stored for {redis_names.RESPONSE_TTL_S} s in the hash `{redis_names.responses('{id}')}`.",
        sends=(chain.TaskResponse,),
        parameters={"id": "The task, which is the session."},
    ),
}


def document() -> dict[str, Any]:
    """Return the whole AsyncAPI document."""
    _, made = models_json_schema(
        [(model, "validation") for model in MESSAGES], by_alias=True, ref_template=_REF
    )
    channels = {**SOCKETS, **REDIS}
    used = {
        model.__name__
        for channel in channels.values()
        for model in (*channel.receives, *channel.sends)
    }
    messages: dict[str, Any] = {
        model.__name__: {
            "contentType": "application/json",
            "payload": {"$ref": _REF.format(model=model.__name__)},
        }
        for model in MESSAGES
        if model.__name__ in used
    }
    messages["Binary"] = {
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AI VTuber: sockets and streams",
            "version": "2.0.0",
            "description": "HTTP is in openapi.json. Readers ignore fields that they do not know.",
        },
        "servers": {
            "gateway": {
                "host": "localhost:8000",
                "protocol": "ws",
                "description": "Public: /ws/input and /ws/output.",
            },
            "outputHandler": {
                "host": "localhost:8002",
                "protocol": "ws",
                "description": "Internal: engines connect here.",
            },
            "redis": {"host": "localhost:6379", "protocol": "redis"},
        },
        "channels": {name: _channel(name, channel) for name, channel in channels.items()},
        "operations": _operations(channels),
        "components": {"messages": messages, "schemas": made["$defs"]},
    }


def _channel(name: str, channel: Channel) -> dict[str, Any]:
    server = "redis" if name in REDIS else "outputHandler" if name == "ingest" else "gateway"
    messages = {
        model.__name__: _message(model.__name__) for model in (*channel.receives, *channel.sends)
    }
    description = channel.description
    if channel.binary is not None:
        messages["Binary"] = _message("Binary")
        description += f" Binary frames: {channel.binary}"
    made: dict[str, Any] = {
        "address": channel.address,
        "description": description,
        "messages": messages,
        "servers": [{"$ref": f"#/servers/{server}"}],
    }
    if channel.parameters:
        made["parameters"] = {
            key: {"description": text} for key, text in channel.parameters.items()
        }
    return made


def _operations(channels: dict[str, Channel]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, channel in channels.items():
        for action, models in (("receive", channel.receives), ("send", channel.sends)):
            names = [model.__name__ for model in models]
            if channel.binary is not None and action == ("receive" if name == "input" else "send"):
                names.append("Binary")
            if names:
                made[f"{action}{name[0].upper()}{name[1:]}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{name}"},
                    "messages": [
                        {"$ref": f"#/channels/{name}/messages/{message}"} for message in names
                    ],
                }
    return made


def _message(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}
