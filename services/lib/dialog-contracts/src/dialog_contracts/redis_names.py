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

MAX_SESSIONS: Final = 1_000
HISTORY_TURNS: Final = 50
"""Turns kept in `session:{id}:turns`."""

MAX_DEAD_LETTERS: Final = 1_000

SESSION_TTL_S: Final = 30 * 24 * 3600
REPLY_CLAIM_TTL_S: Final = 600

USER_INPUT_QUEUE: Final = "user_input_queue"
CHAT_REQUESTS: Final = "chat_requests"
ASR_TASKS: Final = "asr_tasks"
ASR_FINALS: Final = "asr_finals"
TTS_REQUESTS: Final = "tts_requests"
LTM_REQUESTS: Final = "ltm_requests"
"""Lists of the legacy chain: LPUSH, and BLMOVE from the right into the processing list of one consumer."""

MEMORY_UPDATES: Final = "memory_updates"
AI_RESPONSES: Final = "ai_responses"
ASR_RESULTS: Final = "asr_results"
TTS_ERRORS: Final = "tts_errors"
LTM_RESPONSES: Final = "ltm_responses"
"""Channels of the legacy chain. They announce only: what must not be lost is in a list or a key."""

RESPONSE_TTL_S: Final = 600
"""How long an answer waits for a late subscriber, and its sound with it."""

BLOB_TTL_S: Final = 600
BLOB_BYTES: Final = 32 * 1024 * 1024
"""Largest blob: ten minutes of speech."""

RELEASED_BLOB_TTL_S: Final = 30
"""What is left of a blob's time once somebody has heard it."""

RECORDING_ENDS: Final = "vtuber:recordings"
"""Sorted set: blob of a recording → Unix seconds at which it is gone; bounded, with the TTL of a blob."""

RECORDING_SIZES: Final = "vtuber:recordings:sizes"
"""Hash: blob of a recording → its bytes, a space, and the client that sent it."""


PLAYBACK_STOPS: Final = "vtuber:file_stops"
"""Channel: STOP of a reply that a voice file speaks, from one output-handler to all."""

USER_SPEAKING: Final = "vtuber:spoken_to"
"""Channel: somebody speaks into a microphone of a session, or has finished; from input-handler to every output-handler."""

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


def session_lease(session_id: str) -> str:
    """Hash: which engine has the session (`ordinal`, `process`), since when (`epoch`), and until when (`till`, Unix ms)."""
    return f"session:{session_id}:owner"


def active_playback(session_id: str) -> str:
    """The turn that somebody speaks whom the session's owner cannot ask: an engine that gave it away, a voice file."""
    return f"session:{session_id}:sounding"


def history(session_id: str) -> str:
    """Sorted set of TurnRecord as JSON, scored by turn: the recent turns of both paths."""
    return f"session:{session_id}:turns"


def reset_after(session_id: str) -> str:
    """The last turn before a RESET: prompts begin after it."""
    return f"session:{session_id}:reset"


def session_queue(session_id: str) -> str:
    """List of the session's turns in the legacy chain, oldest first; only the first is being worked on."""
    return f"session:{session_id}:legacy"


def reply_claim(correlation_id: str) -> str:
    """Who may answer this turn: `sync` or `legacy`, SET NX EX 600."""
    return f"reply:{correlation_id}"


def task_response(task_id: str) -> str:
    """Legacy channel with the answer to a task."""
    return f"task_response:{task_id}"


def responses(task_id: str) -> str:
    """Hash: message_id → TaskResponse, for whoever subscribes late."""
    return f"task_response:{task_id}:answers"


def delivered(task_id: str) -> str:
    """Set of message_ids whose answer reached a viewer to its end."""
    return f"task_response:{task_id}:heard"


def viewer_context(viewer: str) -> str:
    """List of a viewer's last messages, newest last; of somebody without a name: of his session."""
    return f"memory:user_sessions:{viewer}"


def user_memories(user_id: str) -> str:
    """Sorted set of what the legacy long-term memory keeps of one user, scored by Unix ms."""
    return f"ltm:user:{user_id}:memories"


def user_profile(user_id: str) -> str:
    """Hash: the user's profile."""
    return f"user_profile:{user_id}"


def blob(blob_id: str) -> str:
    """Bytes of a recording or a voice file."""
    return f"blob:{blob_id}"


def ltm_response(request_id: str) -> str:
    """LtmResponse for a reader that subscribes late."""
    return f"ltm_response:{request_id}"


def processing(work_list: str, consumer: str) -> str:
    """List of the messages that one consumer works on, newest first."""
    return f"{work_list}:processing:{consumer}"


def consumers(work_list: str) -> str:
    """Sorted set of consumers, scored by the Unix ms until which each is alive."""
    return f"{work_list}:consumers"


def attempts(work_list: str) -> str:
    """Hash: message → how often it was taken back from a consumer that died with it."""
    return f"{work_list}:attempts"


def dead_letter(work_list: str) -> str:
    """List of the messages that could not be read or that nobody survived, newest first, bounded."""
    return f"{work_list}:dead"
