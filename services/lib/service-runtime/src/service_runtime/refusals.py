"""Answers to messages of the legacy chain that come to nothing: somebody waits for each of them."""

import json
import re
from typing import Any, Final

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ChainMeta, ResponseMetadata, TaskResponse
from dialog_contracts.model import correlation_id
from service_runtime.effects import Effect, advance, answer

_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def refusal(session_id: str, turn: int, meta: ChainMeta, code: str, message: str) -> list[Effect]:
    """The turn is answered with an error, and the session's next one goes into the chain."""
    name = correlation_id(session_id, turn)
    response = TaskResponse(
        message_id=name, task_id=session_id, status="error", error=message, metadata=ResponseMetadata(code=code), meta=meta
    )
    return [answer(response), advance(session_id, name, redis_names.CHAT_REQUESTS)]


def unreadable(raw: str, why: str, *, code: str = "invalid") -> list[Effect]:
    """For a message that cannot be worked on: an error for its task, as far as the message says whose it is."""
    found = _object(raw)
    meta = found.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    task, session, turn = found.get("task_id"), meta.get("session_id"), meta.get("turn")
    session = session if isinstance(session, str) else task
    if not isinstance(session, str) or _SESSION.fullmatch(session) is None:
        return []
    if isinstance(turn, int) and turn > 0:
        return refusal(session, turn, ChainMeta(session_id=session, turn=turn), code, why)
    name = str(found.get("message_id") or meta.get("request_id") or "unreadable")[:128]
    metadata = ResponseMetadata(code=code)
    return [answer(TaskResponse(message_id=name, task_id=session, status="error", error=why, metadata=metadata))]


def _object(raw: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
