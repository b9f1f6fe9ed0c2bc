"""Questions to long-term memory, one at a time."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import structlog
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import LtmRequest, LtmResponse
from long_term_memory.store import Store
from service_runtime import effects
from service_runtime.effects import Effect
from service_runtime.errors import field_error
from service_runtime.work_list import Job

log = structlog.get_logger("desk")

ANSWER_TTL_S: Final = 60
CONTENT_CHARS: Final = 2_000
PROFILE_FIELDS: Final = 50

_CONTENT: Final = TypeAdapter(Annotated[str, StringConstraints(min_length=1, max_length=CONTENT_CHARS)])
_COUNT: Final = TypeAdapter(Annotated[int, Field(ge=1, le=50)])
_OBJECT: Final = TypeAdapter(dict[str, Any])
_UPDATES: Final = TypeAdapter(Annotated[dict[str, Any], Field(min_length=1, max_length=PROFILE_FIELDS)])


class Desk:
    """`take` is the work on one message of `ltm_requests`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def take(self, job: Job) -> None:
        """Answer it; what it changes is written together with the answer."""
        try:
            request = job.read(LtmRequest)
        except ValidationError as error:
            await job.bury(field_error(error).body.message)
            return
        try:
            response, changes = await self._answer(request)
        except ValidationError as error:
            response, changes = _refused(request, field_error(error).body.message), []
        await job.done(*changes, *_answered(response))
        log.info("answered", kind=request.type, success=response.success, memories=len(response.memories))

    @staticmethod
    def given_up(raw: str) -> Sequence[Effect]:
        """Tell whoever asked."""
        return _answered(_refused(LtmRequest.from_json(raw), "this question could not be answered"))

    async def _answer(self, request: LtmRequest) -> tuple[LtmResponse, list[Effect]]:
        user, data = request.user_id, request.data
        said: dict[str, Any] = {"request_id": request.request_id, "user_id": user, "success": True}
        match request.type:
            case "search":
                question, count = _CONTENT.validate_python(data.get("query")), _COUNT.validate_python(data.get("limit", 5))
                return LtmResponse(**said, memories=await self._store.search(user, question, count)), []
            case "add":
                metadata = _OBJECT.validate_python(data.get("metadata") or {})
                memory, changes = self._store.added(user, _CONTENT.validate_python(data.get("content")), metadata)
                return LtmResponse(**said, memories=[memory]), changes
            case "profile_get":
                return LtmResponse(**said, user_profile=await self._store.profile(user)), []
            case "profile_update":
                updates = _UPDATES.validate_python(data.get("updates"))
                profile = await self._store.profile(user) | updates
                return LtmResponse(**said, user_profile=profile), self._store.updated(user, updates)


def _refused(request: LtmRequest, why: str) -> LtmResponse:
    return LtmResponse(request_id=request.request_id, user_id=request.user_id, success=False, error=why)


def _answered(response: LtmResponse) -> list[Effect]:
    key = redis_names.ltm_response(response.request_id)
    return [
        ("SET", key, response.to_json(), "EX", str(ANSWER_TTL_S)),
        effects.announce(redis_names.LTM_RESPONSES, response),
    ]
