"""Every key, list, channel and stream in Redis, with its type, lifetime and owner.

The reference in the documentation is written from `KEYS`; a test compares the list with the names
in `redis_names`, and an end-to-end test with what lies in Redis after turns of both paths.
"""
# ruff: noqa: E501  # one row a key

from dataclasses import dataclass
from typing import Final, Literal

from dialog_contracts import redis_names as names


@dataclass(frozen=True, slots=True)
class Key:
    """A key, list, channel or stream as the reference lists it.

    `name` has `{placeholders}`. `ttl` is the lifetime since the last write, as a sentence part; empty
    for channels. `owner` is the service that creates it, and after a slash others that write it.
    """

    name: str
    type: Literal["string", "hash", "list", "set", "zset", "stream", "channel"]
    ttl: str
    owner: str
    meaning: str


_NONE: Final = "none"
_SESSION: Final = "30 days"
_PIPELINE: Final = "memory, chat-ai, tts, asr"

KEYS: Final = (
    Key(names.turn_counter("{session}"), "string", _SESSION, "input-handler / memory, dialog-engine", "number of the session's last turn"),
    Key(names.turn_of_request("{session}", "{request}"), "string", "10 minutes", "input-handler / memory", "turn number of a requestId; a repeated message keeps its number"),
    Key(names.session_lease("{session}"), "hash", "1 day; the lease itself 3 s", "dialog-engine", "which engine holds the session: `ordinal`, `process`, `epoch`, `till` (Unix ms)"),
    Key(names.active_playback("{session}"), "string", "15 minutes", "dialog-engine, output-handler", "turn that plays where the lease holder cannot query it"),
    Key(names.history("{session}"), "zset", _SESSION, "dialog-engine / memory, tts", "the 50 latest turns as TurnRecord, scored by turn"),
    Key(names.reset_after("{session}"), "string", _SESSION, "dialog-engine / input-handler", "last turn before a RESET; prompts contain only later turns"),
    Key(names.session_queue("{session}"), "list", "10 minutes", "memory", "the session's turns in the legacy pipeline, oldest first"),
    Key(names.reply_claim("{session}#{turn}"), "string", "10 minutes", "dialog-engine, input-handler / memory", "the path that may answer this turn: `sync` or `legacy`"),
    Key(names.SESSIONS, "zset", _NONE + "; 1 000 sessions", "dialog-engine / memory, tts", "sessions by the Unix seconds of their last turn"),
    Key(names.TURN_SAMPLES, "stream", _NONE + "; entries 7 days, about 100 000", "dialog-engine / input-handler, tts", "one TurnSample for each turn of either path"),
    Key(names.EVENTS_LTM, "stream", _NONE + "; acknowledged entries 10 minutes, 1 000 000 entries", "dialog-engine", "events of the outbox for long-term memory"),
    Key(names.EVENTS_ANALYTICS, "stream", _NONE + "; acknowledged entries 10 minutes, 1 000 000 entries", "dialog-engine", "events of the outbox for analytics"),
    Key(names.stream_state("{stream}"), "hash", _NONE, "dialog-engine, async-workers", "id of the stream's creation (`created`), and the processes of Redis that have published (`runs`)"),
    Key(names.dead_events("{stream}"), "stream", _NONE + "; about 10 000 entries", "async-workers", "events that failed permanently, each with the reason"),
    Key(names.OUTBOX_BACKLOGS, "hash", _NONE + "; one field for each ordinal", "dialog-engine", "ordinal of an engine → OutboxBacklog, also of engines that are gone"),
    Key(names.FLAGS, "hash", _NONE, "operator", "sessionId, or `*` → SessionDocument"),
    Key(names.FLAGS_REVISION, "string", _NONE, "operator", "revision of the hash, written in the same transaction"),
    Key(names.FLAGS_ACKS, "hash", "fields are removed after 60 s", "every service / operator", "pod → FlagAck; also the channel on which a pod announces that it wrote"),
    Key(names.FLAGS_CHANGED, "channel", "", "operator", "the new revision, in decimal digits"),
    Key(names.PLAYBACK_STOPS, "channel", "", "output-handler", "STOP of a reply that plays from an audio file"),
    Key(names.USER_SPEAKING, "channel", "", "input-handler", "a user starts or stops speaking into a microphone"),
    Key(names.blob("{id}"), "string", "10 minutes; 30 s once it was used", "input-handler, tts", "bytes of a recording or an audio file, 32 MiB at most"),
    Key(names.RECORDING_ENDS, "zset", "10 minutes", "input-handler", "blob id of a recording → Unix seconds at which it expires"),
    Key(names.RECORDING_SIZES, "hash", "10 minutes", "input-handler", "blob id of a recording → its size in bytes, a space, the client that sent it"),
    Key(names.USER_INPUT_QUEUE, "list", _NONE, "input-handler → memory", "messages of users"),
    Key(names.CHAT_REQUESTS, "list", _NONE, "memory → chat-ai", "turns that need a reply"),
    Key(names.TTS_REQUESTS, "list", _NONE, "chat-ai, dialog-engine → tts", "replies that need an audio file"),
    Key(names.ASR_TASKS, "list", _NONE, "input-handler → asr", "recordings to transcribe"),
    Key(names.ASR_FINALS, "list", _NONE, "asr → input-handler", "transcripts of recordings"),
    Key(names.LTM_REQUESTS, "list", _NONE, "any service → long-term-memory", "requests to the legacy long-term memory"),
    Key(names.processing("{list}", "{consumer}"), "list", _NONE, _PIPELINE, "messages that one consumer processes, newest first"),
    Key(names.consumers("{list}"), "zset", _NONE, _PIPELINE, "consumers by the Unix ms at which each one's lease expires"),
    Key(names.attempts("{list}"), "hash", _NONE, _PIPELINE, "message → how often it was requeued"),
    Key(names.dead_letter("{list}"), "list", _NONE + "; 1 000 messages", _PIPELINE, "messages that could not be parsed or processed, newest first"),
    Key(names.task_response("{task}"), "channel", "", "memory, chat-ai, tts", "response to a task"),
    Key(names.responses("{task}"), "hash", "10 minutes", "memory, chat-ai, tts", "message_id → TaskResponse, for late subscribers"),
    Key(names.delivered("{task}"), "set", "10 minutes", "output-handler", "message_ids that were delivered to a viewer completely"),
    Key(names.viewer_context("{viewer}"), "list", "1 day (`CONTEXT_TTL_S`)", "memory", "a viewer's last messages, newest last"),
    Key(names.user_memories("{user}"), "zset", "365 days (`RETENTION_DAYS`)", "long-term-memory", "a user's entries, scored by Unix ms"),
    Key(names.user_profile("{user}"), "hash", "365 days (`RETENTION_DAYS`)", "long-term-memory", "the user's profile"),
    Key(names.user_turns("{user}"), "hash", "365 days (`RETENTION_DAYS`)", "long-term-memory", "correlationId → revision and entry of the turn"),
    Key(names.event_applied("{event}"), "string", "8 days", "long-term-memory", "the event was applied"),
    Key(names.ltm_response("{request}"), "string", "1 minute", "long-term-memory", "LtmResponse, for a reader that subscribes late"),
    Key(names.MEMORY_UPDATES, "channel", "", "dialog-engine, memory, tts", "both halves of each turn, for services that listen to the legacy pipeline"),
    Key(names.AI_RESPONSES, "channel", "", "chat-ai", "each generated reply"),
    Key(names.ASR_RESULTS, "channel", "", "asr", "each transcript"),
    Key(names.TTS_ERRORS, "channel", "", "tts", "replies without audio"),
    Key(names.LTM_RESPONSES, "channel", "", "long-term-memory", "answers of the legacy long-term memory"),
)  # fmt: skip
"""Every name of `redis_names`, once."""
