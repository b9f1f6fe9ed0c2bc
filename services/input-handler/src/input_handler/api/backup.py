"""Passes backup and restore requests on to the engine that they name."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import aiohttp
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response, StreamingResponse

from dialog_contracts.backup import UPLOAD_PATH, BackupParts
from input_handler.engine.client import EngineUnreachable
from input_handler.engine.pool import EnginePool
from service_runtime.http.errors import NotFound, Unavailable


def backup_routes(engines: EnginePool) -> APIRouter:
    """Return the routes: `/backup/engines`, and what is below it."""
    routes = APIRouter(prefix="/backup/engines")

    @routes.get("")
    async def parts() -> BackupParts:
        ordinals = engines.ordinals()
        ready = await asyncio.gather(*(_answers(engines, ordinal) for ordinal in ordinals))
        return BackupParts(
            engines=[ordinal for ordinal, here in zip(ordinals, ready, strict=True) if here],
            unreachable=[
                f"engine {ordinal}"
                for ordinal, here in zip(ordinals, ready, strict=True)
                if not here
            ],
        )

    @routes.get("/{ordinal}")
    async def copy(ordinal: int) -> Response:
        return await _forward(engines, ordinal, "GET", "/backup", None)

    @routes.post("/{ordinal}/{rest:path}")
    async def upload(
        ordinal: int, rest: Annotated[str, Path(pattern=UPLOAD_PATH)], request: Request
    ) -> Response:
        return await _forward(engines, ordinal, "POST", f"/backup/{rest}", await request.body())

    return routes


async def _answers(engines: EnginePool, ordinal: int) -> bool:
    client = engines.client_of(ordinal)
    if client is None:
        return False
    try:
        await client.fetch("GET", "/outbox")
    except EngineUnreachable:
        return False
    return True


async def _forward(
    engines: EnginePool, ordinal: int, method: str, path: str, body: bytes | None
) -> Response:
    client = engines.client_of(ordinal)
    if client is None:
        raise NotFound(f"there is no engine {ordinal}", code="unknown_engine", field="ordinal")
    try:
        answer = await client.forward(method, path, body)
    except EngineUnreachable as error:
        raise Unavailable(str(error), code="engine_away", retry_after_s=1) from error

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in answer.content.iter_any():
                yield piece
        except aiohttp.ClientError as error:
            # Without its last chunk the response is broken off, which the caller notices.
            raise ConnectionError(str(error)) from error
        finally:
            answer.close()

    return StreamingResponse(pieces(), status_code=answer.status, media_type=answer.content_type)
