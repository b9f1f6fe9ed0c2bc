"""Answers to messages of the legacy chain that come to nothing: somebody waits for each of them."""

import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from pydantic import ValidationError

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.legacy_chain import (
    ChainMeta,
    ResponseMetadata,
    TaskResponse,
    UserInput,
    session_of,
)
from dialog_contracts.model import correlation_id
from dialog_contracts.turn_sample import TurnSample
from dialog_redis.work_queue.commands import RedisCommand, advance, sample_command, send_response

_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CJK: Final = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """What a person is told, in the two languages of this house."""

    english: str
    chinese: str

    def for_text(self, message: UserInput) -> str:
        """In the language of the message: Chinese where it says so or is written so, else English."""
        named = message.meta.lang
        chinese = (
            named.lower().startswith("zh")
            if named is not None
            else _CJK.search(message.content) is not None
        )
        return self.chinese if chinese else self.english


EXPIRED: Final = LocalizedText(
    "this message waited too long; please send it again", "这条消息等待太久了，请再发送一次"
)
MAX_JOB_AGE_S: Final = redis_names.RESPONSE_TTL_S - 60
"""That a turn was told to have come to nothing is known for ten minutes. What is older may not be answered any more: the second reply
would be worse than none. A minute for clocks that differ."""

EXHAUSTED: Final = LocalizedText(
    "this message could not be answered; please send it again", "这条消息暂时无法回答，请再发送一次"
)


def error_response(name: str, task_id: str, code: str, why: str, meta: ChainMeta) -> TaskResponse:
    """An error as the answer to what bears this name."""
    return TaskResponse(
        message_id=name,
        task_id=task_id,
        status="error",
        error=why,
        metadata=ResponseMetadata(code=code),
        meta=meta,
    )


def failed_recording(
    task_id: str, code: str, why: str, meta: ChainMeta, *, blob_id: str | None = None
) -> RedisCommand:
    """An error as the answer to a recording: it has a name of its own, for its turn has none yet, or has its answer already."""
    return send_response(
        error_response(
            f"recording:{meta.request_id or blob_id or task_id}", task_id, code, why, meta
        )
    )


def failed_turn(message: UserInput, code: str, text: LocalizedText) -> list[RedisCommand]:
    """A turn of the chain is answered with an error and noted as failed, and the session's next one goes on. `meta.turn` is there."""
    session, turn = session_of(message), message.meta.turn
    assert turn is not None
    entry = TurnSample(
        session_id=session,
        turn=turn,
        flags=message.meta.flags or FlagSet(),
        path="legacy",
        outcome="failed",
        reason=code,
        ts=time.time(),
        traceparent=message.meta.traceparent,
    )
    return [
        *_failure_commands(
            message.task_id, session, turn, message.meta, code, text.for_text(message)
        ),
        sample_command(entry),
    ]


def is_expired(meta: ChainMeta) -> bool:
    """Whether nobody can tell any more if this turn was answered."""
    return meta.received_at is not None and time.time() - meta.received_at > MAX_JOB_AGE_S


def expired_turn(task_id: str, session_id: str, meta: ChainMeta) -> list[RedisCommand]:
    """For a turn that came out of a queue when it was over for everybody. `meta.turn` is there."""
    assert meta.turn is not None
    return _failure_commands(task_id, session_id, meta.turn, meta, "too_late", EXPIRED.english)


def exhausted(raw: str) -> list[RedisCommand]:
    """For a turn that nobody survived."""
    try:
        message = UserInput.from_json(raw)
    except ValidationError:
        return malformed(raw, EXHAUSTED.english, code="given_up")
    if message.meta.turn is None:
        return malformed(raw, EXHAUSTED.for_text(message), code="given_up")
    return failed_turn(message, "given_up", EXHAUSTED)


def malformed(raw: str, why: str, *, code: str = "invalid") -> list[RedisCommand]:
    """For a message that cannot be worked on: an error for its task, as far as the message says whose it is."""
    found = parse_leniently(raw)
    meta = found.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    task, session, turn = found.get("task_id"), meta.get("session_id"), meta.get("turn")
    session = session if _is_session(session) else task
    if not _is_session(session):
        return []
    to = task if _is_session(task) else session
    try:
        known = ChainMeta(session_id=session, turn=turn)
    except ValidationError:
        known = ChainMeta(session_id=session)
    if known.turn is not None:
        return _failure_commands(to, session, known.turn, known, code, why)
    name = found.get("message_id") or meta.get("request_id")
    name = (
        name[:128] if isinstance(name, str) and name.isprintable() else f"unreadable:{digest(raw)}"
    )
    return [send_response(error_response(name, to, code, why, ChainMeta()))]


def _failure_commands(
    task_id: str, session_id: str, turn: int, meta: ChainMeta, code: str, why: str
) -> list[RedisCommand]:
    name = correlation_id(session_id, turn)
    return [
        send_response(error_response(name, task_id, code, why, meta)),
        advance(session_id, name, redis_names.CHAT_REQUESTS),
    ]


def digest(raw: str) -> str:
    """The same name each time this message is delivered, and another for another message: each is told of once. 16 hex digits."""
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_session(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _SESSION.fullmatch(value) is not None


def parse_leniently(raw: str) -> dict[str, Any]:
    """The fields of a message that may be wrong; none where it is no JSON object."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
