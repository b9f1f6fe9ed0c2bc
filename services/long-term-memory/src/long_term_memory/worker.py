"""Answers requests to long-term memory.

Each request gets one response, on a channel and, for late readers, in a key for 60 s.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import structlog
from pydantic import ValidationError

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import LtmRequest, LtmResponse
from dialog_redis.work_queue import commands
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job
from dialog_telemetry import metrics
from long_term_memory.memory_store import MemoryStore
from long_term_memory.requests import (
    PROFILE_FIELDS,
    AddRequest,
    ProfileUpdateRequest,
    SearchRequest,
)
from service_runtime.http.errors import field_error

log = structlog.get_logger("memory_worker")

RESPONSE_TTL_S: Final = 60
"""Lifetime of a stored response in seconds."""
ANONYMOUS: Final = "anonymous"
"""User id that older services use for all users without a name.

Nothing is stored for it, because other users could read it.
"""


class Refused(Exception):
    """The request is not executed; the text is the reason."""


class MemoryWorker:
    """Processes jobs of `ltm_requests`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def handle(self, job: Job) -> None:
        """Answer the request; its changes and the response are written in one transaction."""
        try:
            request = job.read(LtmRequest)
        except ValidationError as error:
            why = field_error(error).body.message
            metrics.REQUESTS_REJECTED.labels(code="bad_ltm_request").inc()
            await job.dead_letter(why, *_unreadable(job.raw, why))
            return
        changes: list[RedisCommand] = []
        try:
            response, changes = await self._answer(request)
        except (ValidationError, Refused) as error:
            why = (
                field_error(error).body.message
                if isinstance(error, ValidationError)
                else str(error)
            )
            metrics.REQUESTS_REJECTED.labels(code="ltm_refused").inc()
            response = _error_response(request.request_id, request.user_id, why)
        await job.complete(*changes, *_response_commands(response))
        log.info(
            "answered", kind=request.type, success=response.success, memories=len(response.memories)
        )

    @staticmethod
    def on_exhausted(raw: str) -> Sequence[RedisCommand]:
        """Return the error response to a request that failed too often."""
        return _unreadable(raw, "this request could not be answered")

    async def _answer(self, request: LtmRequest) -> tuple[LtmResponse, list[RedisCommand]]:
        user = request.user_id
        said: dict[str, Any] = {"request_id": request.request_id, "user_id": user, "success": True}
        match request.type:
            case "search":
                search = SearchRequest.model_validate(request.data)
                return LtmResponse(
                    **said, memories=await self._store.search(user, search.query, search.limit)
                ), []
            case "add":
                addition = AddRequest.model_validate(request.data)
                if not addition.by_user:
                    return LtmResponse(**said), []
                _require_user(user)
                memory, changes = self._store.add_commands(
                    user, addition.content, addition.metadata
                )
                return LtmResponse(**said, memories=[memory]), changes
            case "profile_get":
                return LtmResponse(**said, user_profile=await self._store.profile(user)), []
            case "profile_update":
                updates = ProfileUpdateRequest.model_validate(request.data).updates
                _require_user(user)
                merged = {**await self._store.profile(user), **updates}
                profile = {name: value for name, value in merged.items() if value is not None}
                if len(profile) > PROFILE_FIELDS:
                    raise Refused(f"updates: a profile has at most {PROFILE_FIELDS} fields")
                return LtmResponse(**said, user_profile=profile), self._store.update_commands(
                    user, updates
                )


def _require_user(user_id: str) -> None:
    if user_id == ANONYMOUS:
        raise Refused(
            f"user_id: nothing is stored for {ANONYMOUS!r}, which several users share; give each "
            "user an id"
        )


def _error_response(request_id: str, user_id: str, why: str) -> LtmResponse:
    return LtmResponse(request_id=request_id, user_id=user_id, success=False, error=why)


def _unreadable(raw: str, why: str) -> list[RedisCommand]:
    """Return an error response if the message contains a valid request id, else nothing."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    request_id, user_id = (
        (found.get("request_id"), found.get("user_id")) if isinstance(found, dict) else (None, None)
    )
    if not (
        isinstance(request_id, str) and 0 < len(request_id) <= 128 and request_id.isprintable()
    ):
        return []
    named = user_id if isinstance(user_id, str) and user_id.isprintable() else ""
    return _response_commands(_error_response(request_id, named[:128], why))


def _response_commands(response: LtmResponse) -> list[RedisCommand]:
    key = redis_names.ltm_response(response.request_id)
    return [
        ("SET", key, response.to_json(), "EX", str(RESPONSE_TTL_S)),
        commands.announce(redis_names.LTM_RESPONSES, response),
    ]
