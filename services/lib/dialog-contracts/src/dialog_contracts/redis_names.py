"""Names in Redis: keys, lists, channels and streams, legacy ones as they were."""

from typing import Final

TURN_SAMPLES: Final = "vtuber:turns"
"""Stream, bounded: one entry per turn, on either path."""

TURN_SAMPLES_MAXLEN: Final = 100_000

EVENTS_LTM: Final = "events.ltm"
EVENTS_ANALYTICS: Final = "events.analytics"
"""Streams of the outbox; what fails for good goes to the same name with `.dead`."""

SESSIONS: Final = "vtuber:sessions"
"""Sorted set: sessionId scored by Unix seconds of its last turn."""

SESSIONS_MAX: Final = 1_000
HISTORY_TURNS: Final = 50
"""Turns kept in `session:{id}:turns`."""

SESSION_TTL_S: Final = 30 * 24 * 3600
REPLY_CLAIM_TTL_S: Final = 600

USER_INPUT_QUEUE: Final = "user_input_queue"
ASR_TASKS: Final = "asr_tasks"
TTS_REQUESTS: Final = "tts_requests"
MEMORY_UPDATES: Final = "memory_updates"


FLAGS: Final = "vtuber:flags"
"""Hash: sessionId (or `*`) → SessionDocument. The operator alone writes it, together with the revision and the message on the channel."""

FLAGS_REVISION: Final = "vtuber:flags:revision"
"""String: the revision of the hash, written in the same transaction: max(Unix ms, the last one + 1)."""

FLAGS_CHANGED: Final = "vtuber:flags:changed"
"""Channel: the new revision, in digits."""

FLAGS_ACKS: Final = "vtuber:flags:acks"
"""Hash: pod → FlagAck; also the channel on which a pod says its name after it wrote its field."""

FLAGS_ACK_EVERY_S: Final = 5
FLAGS_ACK_VALID_S: Final = 15


def turn_counter(session_id: str) -> str:
    """Number of the last turn: INCR gives the next."""
    return f"session:{session_id}:turn"


def turn_of_request(session_id: str, request_id: str) -> str:
    """The turn that a requestId was given, so that a repeated message keeps its number."""
    return f"session:{session_id}:request:{request_id}"


def history(session_id: str) -> str:
    """List of TurnRecord as JSON, newest last."""
    return f"session:{session_id}:turns"


def reply_claim(correlation_id: str) -> str:
    """Who may answer this turn: `sync` or `legacy`, SET NX EX 600."""
    return f"reply:{correlation_id}"


def task_response(task_id: str) -> str:
    """Legacy channel with the answer to a task."""
    return f"task_response:{task_id}"
