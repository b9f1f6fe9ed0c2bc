"""What lies in Redis after turns of both paths is what the reference lists.

Name, type and whether it expires.
"""

import re

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_keys, redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.redis_keys import Key
from e2e.harness.clients import chat, watching
from e2e.harness.flag_documents import known_everywhere, write
from e2e.harness.stack import Stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


async def test_every_key_has_a_listed_name_its_type_and_its_lifetime(with_fallback: Stack) -> None:
    async with Redis.from_url(with_fallback.redis, decode_responses=True) as redis:
        revision = int(await redis.get(redis_names.FLAGS_REVISION) or 0) + 1
        await write(redis, revision, "listed-legacy", FlagSet(ENABLE_SYNC_CORE=False))
        await known_everywhere(with_fallback, revision)
        for session in ("listed-main", "listed-legacy"):
            async with watching(with_fallback.ws, session) as viewer:
                assert (await chat(with_fallback.url, session)).text
                await viewer.until(lambda v: v.of("CONTROL", "END"))
        seen: set[str] = set()
        async for name in redis.scan_iter(count=1_000):
            key = listed(name)
            kind, ttl = await redis.type(name), await redis.ttl(name)
            if kind == "none":
                continue
            assert kind == key.type, name
            assert ttl == -2 or (ttl > 0) is expires(key), f"{name}: {ttl} s, listed: {key.ttl}"
            seen.add(key.name)
    assert {"session:{session}:turn", "session:{session}:turns", "vtuber:turns"} <= seen


def listed(name: str) -> Key:
    """The one entry of the reference that this name has; the most exact of several."""
    fitting = [
        key
        for key in redis_keys.KEYS
        if key.type != "channel" and re.fullmatch(pattern(key.name), name)
    ]
    assert fitting, f"{name} is not in redis_keys.KEYS"
    return max(fitting, key=lambda key: len(re.sub(r"\{\w+\}", "", key.name)))


def pattern(name: str) -> str:
    return "".join(
        ".+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", name)
    )


def expires(key: Key) -> bool:
    return not key.ttl.startswith(("none", "fields"))
