"""Error responses for legacy messages that cannot be processed.

A client is waiting for each one.
"""

import hashlib
import json
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
from dialog_contracts.model import correlation_id, is_session_id
from dialog_contracts.turn_sample import TurnSample
from dialog_contracts.writing_systems import has_cjk
from dialog_redis.work_queue.commands import RedisCommand, advance, sample_command, send_response


@dataclass(frozen=True, slots=True)
class LocalizedText:
    """A message for users in the two supported languages."""

    english: str
    chinese: str

    def for_text(self, message: UserInput) -> str:
        """Return the text in the language of the message.

        It is Chinese where the message's `lang` or its script is Chinese, else English.
        """
        named = message.meta.lang
        chinese = named.lower().startswith("zh") if named is not None else has_cjk(message.content)
        return self.chinese if chinese else self.english


EXPIRED: Final = LocalizedText(
    "this message waited too long; please send it again", "这条消息等待太久了，请再发送一次"
)
MAX_JOB_AGE_S: Final = redis_names.RESPONSE_TTL_S - 60
"""Age in seconds beyond which a job is rejected.

The record that a turn has already failed expires after ten minutes; an older job might be answered
a second time. One minute is left for clock differences.
"""

EXHAUSTED: Final = LocalizedText(
    "this message could not be answered; please send it again", "这条消息暂时无法回答，请再发送一次"
)


def error_response(name: str, task_id: str, code: str, why: str, meta: ChainMeta) -> TaskResponse:
    """Return an error as the response with the id `name`."""
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
    """Return an error response to a recording.

    It has an id of its own, because the recording has no turn yet, or its turn has a response
    already.
    """
    return send_response(
        error_response(
            f"recording:{meta.request_id or blob_id or task_id}", task_id, code, why, meta
        )
    )


def failed_turn(message: UserInput, code: str, text: LocalizedText) -> list[RedisCommand]:
    """Return the commands that fail a turn of the legacy pipeline.

    They send an error response, add a failed sample, and start the session's next turn.
    `message.meta.turn` must be set.
    """
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
    """Return whether the turn is older than `MAX_JOB_AGE_S`.

    It may have been answered then without a record of it.
    """
    return meta.received_at is not None and time.time() - meta.received_at > MAX_JOB_AGE_S


def expired_turn(task_id: str, session_id: str, meta: ChainMeta) -> list[RedisCommand]:
    """Return the commands that reject a turn that waited too long. `meta.turn` must be set."""
    assert meta.turn is not None
    return _failure_commands(task_id, session_id, meta.turn, meta, "too_late", EXPIRED.english)


def exhausted(raw: str) -> list[RedisCommand]:
    """Return the commands for a turn whose attempts are exhausted."""
    try:
        message = UserInput.from_json(raw)
    except ValidationError:
        return malformed(raw, EXHAUSTED.english, code="given_up")
    if message.meta.turn is None:
        return malformed(raw, EXHAUSTED.for_text(message), code="given_up")
    return failed_turn(message, "given_up", EXHAUSTED)


def malformed(raw: str, why: str, *, code: str = "invalid") -> list[RedisCommand]:
    """Return the commands for a message that cannot be processed.

    They send an error to the task or session that the message names; empty if it names none.
    """
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
    """Return 16 hex digits that identify a message by its content.

    A message that is delivered again has the same digest, so its failure is reported once.
    """
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_session(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and is_session_id(value)


def parse_leniently(raw: str) -> dict[str, Any]:
    """Return the fields of a message that may be invalid; empty if it is not a JSON object."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
