"""Flag documents as the operator writes them, for tests without a cluster."""

import asyncio

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import SessionDocument
from e2e import timeouts
from e2e.harness.clients import get
from e2e.harness.stack import Stack

SERVICES = ("gateway", "input-handler", "dialog-engine", "output-handler")


async def write(
    redis: "Redis", revision: int, session_id: str, flags: FlagSet, **parts: object
) -> None:
    """One document, its revision and the message about it."""
    stamped = flags.model_copy(update={"generation": revision})
    document = SessionDocument(
        session_id=session_id, flags=stamped, resource=f"e2e/{revision}", **parts
    )
    async with redis.pipeline(transaction=True) as together:
        together.hset(redis_names.FLAGS, session_id, document.to_json())
        together.set(redis_names.FLAGS_REVISION, revision)
        together.publish(redis_names.FLAGS_CHANGED, revision)
        await together.execute()


async def known_everywhere(stack: Stack, revision: int) -> None:
    """Until every service of the main path goes by this revision."""
    async with asyncio.timeout(timeouts.FLAGS_EVERYWHERE):
        for service in SERVICES:
            while (await get(f"{stack.service(service)}/readyz"))["details"]["flags"][
                "revision"
            ] < revision:
                await asyncio.sleep(0.01)
