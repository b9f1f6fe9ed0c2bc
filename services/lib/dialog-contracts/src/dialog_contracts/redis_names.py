"""Names of keys, lists, channels and streams in Redis; legacy names are unchanged.

`redis_keys` lists them all, with type, lifetime and owner.
"""

from typing import Final

TURN_SAMPLES: Final = "vtuber:turns"
"""Stream, bounded: one entry per turn, of either path."""

TURN_SAMPLES_MAXLEN: Final = 100_000
TURN_SAMPLES_KEPT_S: Final = 7 * 24 * 3600

EVENTS_LTM: Final = "events.ltm"
EVENTS_ANALYTICS: Final = "events.analytics"
"""Streams of the outbox; events that fail permanently go to the same name with `.dead`."""

EVENT_GROUPS: Final = {EVENTS_LTM: "ltm_worker", EVENTS_ANALYTICS: "analytics_worker"}
"""Consumer group of each event stream; it begins with the first entry."""

EVENTS_KEPT_S: Final = 600
"""Seconds for which acknowledged entries stay in an event stream."""

MAX_EVENTS: Final = 1_000_000
"""Largest number of entries of an event stream; beyond it also unread entries are removed."""

MAX_DEAD_EVENTS: Final = 10_000

OUTBOX_BACKLOGS: Final = "vtuber:outbox"
"""Hash: ordinal of an engine → OutboxBacklog, also of engines that are gone."""

SESSIONS: Final = "vtuber:sessions"
"""Sorted set: sessionId, scored by the Unix seconds of its last turn."""

MAX_SESSIONS: Final = 1_000
HISTORY_TURNS: Final = 50
"""Number of turns kept in `session:{id}:turns`."""

MAX_DEAD_LETTERS: Final = 1_000

SESSION_TTL_S: Final = 30 * 24 * 3600
REPLY_CLAIM_TTL_S: Final = 600

USER_INPUT_QUEUE: Final = "user_input_queue"
CHAT_REQUESTS: Final = "chat_requests"
ASR_TASKS: Final = "asr_tasks"
ASR_FINALS: Final = "asr_finals"
TTS_REQUESTS: Final = "tts_requests"
LTM_REQUESTS: Final = "ltm_requests"
"""Lists of the legacy pipeline.

Producers LPUSH; consumers BLMOVE from the right into the processing list of one consumer.
"""

MEMORY_UPDATES: Final = "memory_updates"
AI_RESPONSES: Final = "ai_responses"
ASR_RESULTS: Final = "asr_results"
TTS_ERRORS: Final = "tts_errors"
LTM_RESPONSES: Final = "ltm_responses"
"""Channels of the legacy pipeline.

They only announce: data that must not be lost is in a list or a key.
"""

RESPONSE_TTL_S: Final = 600
"""Lifetime in seconds of a response, and of its audio, for late subscribers."""

BLOB_TTL_S: Final = 600
BLOB_BYTES: Final = 32 * 1024 * 1024
"""Largest blob in bytes: ten minutes of speech."""

RELEASED_BLOB_TTL_S: Final = 30
"""Remaining lifetime in seconds of a blob that has been used."""

RECORDING_ENDS: Final = "vtuber:recordings"
"""Sorted set: blob id of a recording → Unix seconds at which it expires.

It is bounded and has the TTL of a blob.
"""

RECORDING_SIZES: Final = "vtuber:recordings:sizes"
"""Hash: blob id of a recording → its size in bytes, a space, and the client that sent it."""


PLAYBACK_STOPS: Final = "vtuber:file_stops"
"""Channel: STOP of a reply that plays from a voice file, from one output-handler to all."""

USER_SPEAKING: Final = "vtuber:spoken_to"
"""Channel: a user starts or stops speaking into a microphone of a session.

input-handler publishes to every output-handler.
"""

FLAGS: Final = "vtuber:flags"
"""Hash: sessionId (or `*`) → SessionDocument.

Only the operator writes it, together with the revision and the message on the channel.
"""

FLAGS_REVISION: Final = "vtuber:flags:revision"
"""String: the revision of the hash, written in the same transaction.

It is max(Unix ms, previous revision + 1).
"""

FLAGS_CHANGED: Final = "vtuber:flags:changed"
"""Channel: the new revision, in decimal digits."""

FLAGS_ACKS: Final = "vtuber:flags:acks"
"""Hash: pod → FlagAck.

It is also the channel on which a pod publishes its name after it wrote its field.
"""

FLAGS_ACK_EVERY_S: Final = 5
FLAGS_ACK_VALID_S: Final = 15


def stream_state(stream: str) -> str:
    """Hash: id of the stream's creation (`created`), and the processes of Redis (`runs`)."""
    return f"{stream}:state"


def dead_events(stream: str) -> str:
    """Stream of the events that failed permanently, each with the reason, bounded."""
    return f"{stream}.dead"


def event_applied(event_id: str) -> str:
    """String: the event was applied to the legacy long-term memory; 8 days."""
    return f"ltm:event:{event_id}"


def user_turns(user_id: str) -> str:
    """Hash: correlationId → revision and entry of the user's memories that the turn has."""
    return f"ltm:user:{user_id}:turns"


def turn_counter(session_id: str) -> str:
    """Counter: number of the session's last turn; INCR returns the next one."""
    return f"session:{session_id}:turn"


def turn_of_request(session_id: str, request_id: str) -> str:
    """String: the turn number of a requestId, so that a repeated message keeps its number."""
    return f"session:{session_id}:request:{request_id}"


def session_lease(session_id: str) -> str:
    """Hash of the session's lease.

    Fields: which engine holds it (`ordinal`, `process`), its `epoch`, and its expiry (`till`, Unix
    ms).
    """
    return f"session:{session_id}:owner"


def active_playback(session_id: str) -> str:
    """String: a turn that plays where the lease holder cannot query it.

    That is a turn of an engine that has released the session, or a voice file.
    """
    return f"session:{session_id}:sounding"


def history(session_id: str) -> str:
    """Sorted set of TurnRecord as JSON, scored by turn: the recent turns of both paths."""
    return f"session:{session_id}:turns"


def reset_after(session_id: str) -> str:
    """String: the last turn before a RESET; prompts contain only later turns."""
    return f"session:{session_id}:reset"


def session_queue(session_id: str) -> str:
    """List of the session's turns in the legacy pipeline, oldest first.

    Only the first is processed.
    """
    return f"session:{session_id}:legacy"


def reply_claim(correlation_id: str) -> str:
    """String: the path that may answer this turn, `sync` or `legacy`; SET NX EX 600."""
    return f"reply:{correlation_id}"


def task_response(task_id: str) -> str:
    """Legacy channel with the response to a task."""
    return f"task_response:{task_id}"


def responses(task_id: str) -> str:
    """Hash: message_id → TaskResponse, for late subscribers."""
    return f"task_response:{task_id}:answers"


def delivered(task_id: str) -> str:
    """Set of the message_ids whose response was delivered to a viewer completely."""
    return f"task_response:{task_id}:heard"


def viewer_context(viewer: str) -> str:
    """List of a viewer's last messages, newest last.

    For a viewer without a user id, `viewer` is `anonymous:` and the session.
    """
    return f"memory:user_sessions:{viewer}"


def user_memories(user_id: str) -> str:
    """Sorted set of a user's entries in the legacy long-term memory, scored by Unix ms."""
    return f"ltm:user:{user_id}:memories"


def user_profile(user_id: str) -> str:
    """Hash: the user's profile."""
    return f"user_profile:{user_id}"


def blob(blob_id: str) -> str:
    """String: the bytes of a recording or a voice file."""
    return f"blob:{blob_id}"


def ltm_response(request_id: str) -> str:
    """String: the LtmResponse, for a reader that subscribes late."""
    return f"ltm_response:{request_id}"


def processing(work_list: str, consumer: str) -> str:
    """List of the messages that one consumer processes, newest first."""
    return f"{work_list}:processing:{consumer}"


def consumers(work_list: str) -> str:
    """Sorted set of consumers, scored by the Unix ms at which each one's lease expires."""
    return f"{work_list}:consumers"


def attempts(work_list: str) -> str:
    """Hash: message → number of times it was requeued after its consumer failed or died."""
    return f"{work_list}:attempts"


def dead_letter(work_list: str) -> str:
    """List of the messages that could not be parsed or processed, newest first, bounded."""
    return f"{work_list}:dead"
