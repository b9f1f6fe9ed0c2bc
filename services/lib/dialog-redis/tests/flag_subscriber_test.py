import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from e2e.harness.store import Store
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagAck, FlagTable, SessionDocument
from dialog_flags.flag_documents import FlagDocuments
from dialog_providers.secret_files import SecretFiles
from dialog_redis.flag_subscriber import FlagSubscriber
from service_runtime.settings import ServiceSettings


def document(session_id: str, generation: int) -> SessionDocument:
    return SessionDocument(
        session_id=session_id,
        flags=FlagSet(SYNC_TTS_STREAMING=True, generation=generation),
        resource=f"studio/{session_id}",
    )


async def write(redis: "Redis", revision: int, *documents: SessionDocument) -> None:
    """As the operator does it."""
    async with redis.pipeline(transaction=True) as together:
        for one in documents:
            together.hset(redis_names.FLAGS, one.session_id, one.to_json())
        together.set(redis_names.FLAGS_REVISION, revision)
        together.publish(redis_names.FLAGS_CHANGED, revision)
        await together.execute()


async def becomes(check: Callable[[], bool | Awaitable[bool]], within_s: float = 8.0) -> None:
    async with asyncio.timeout(within_s):
        while True:
            answer = check()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


def watching(
    stack: AsyncExitStack, url: str, *, file: Path | None = None, missing: list[str] | None = None
) -> FlagDocuments:
    documents = FlagDocuments()
    settings = ServiceSettings(redis_url=url, pod_name="engine-0", flags_file=file)
    watch = FlagSubscriber(
        documents,
        "dialog-engine",
        settings,
        missing_keys=lambda: missing or [],
        unsupported=lambda: {"ENABLE_LTM": "not built"},
    )
    watch.start()
    stack.push_async_callback(watch.aclose)
    return documents


async def acknowledged(redis: "Redis") -> FlagAck:
    return FlagAck.from_json(await redis.hget(redis_names.FLAGS_ACKS, "engine-0") or "{}")


async def test_a_change_is_loaded_and_acknowledged_at_once(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        async with (
            Redis.from_url(store.url, decode_responses=True) as redis,
            AsyncExitStack() as stack,
        ):
            await write(redis, 10, document("live-001", 1))
            documents = watching(stack, store.url, missing=["studio.openai.key.1"])
            await becomes(lambda: documents.revision == 10)
            said = await stack.enter_async_context(redis.pubsub())
            await said.subscribe(redis_names.FLAGS_ACKS)
            began = time.monotonic()
            await write(redis, 11, document("live-001", 2), document("*", 3))

            async def told() -> bool:
                message = await said.get_message(ignore_subscribe_messages=True, timeout=0.05)
                return message is not None and (await acknowledged(redis)).revision == 11

            await becomes(told)
            assert time.monotonic() - began < redis_names.FLAGS_ACK_EVERY_S, (
                "it came with the message, not with the next poll"
            )
            found = documents.find("live-001")
            assert found is not None
            assert found.flags.generation == 2
            ack = await acknowledged(redis)
            assert (ack.service, ack.missing_keys) == ("dialog-engine", ["studio.openai.key.1"])
            assert ack.unsupported == {"ENABLE_LTM": "not built"}
            assert abs(ack.at - time.time()) < 5


async def test_a_pod_starts_from_the_file_and_goes_on_to_redis_when_that_comes(
    tmp_path: Path,
) -> None:
    file = tmp_path / "flags.json"
    file.write_text(FlagTable(revision=5, documents=[document("live-001", 4)]).to_json())
    store = Store(tmp_path / "store")
    async with AsyncExitStack() as stack:
        documents = watching(stack, store.url, file=file)
        assert documents.state() == {
            "origin": "file",
            "revision": 5,
            "generation": 4,
            "documents": 1,
        }
        with store:
            async with Redis.from_url(store.url, decode_responses=True) as redis:
                await write(redis, 6, document("live-001", 5))
                await becomes(lambda: documents.origin == "redis" and documents.revision == 6)


async def test_an_emptied_or_lost_redis_changes_nothing_and_the_file_is_looked_at_meanwhile(
    tmp_path: Path,
) -> None:
    file = tmp_path / "flags.json"
    store = Store(tmp_path / "store")
    async with AsyncExitStack() as stack:
        with store:
            async with Redis.from_url(store.url, decode_responses=True) as redis:
                await write(redis, 10, document("live-001", 1))
                documents = watching(stack, store.url, file=file)
                await becomes(lambda: documents.revision == 10)
                await redis.flushall()
                await redis.publish(redis_names.FLAGS_CHANGED, 0)

                async def acks_again() -> bool:
                    return bool(await redis.hexists(redis_names.FLAGS_ACKS, "engine-0"))

                await becomes(acks_again)
                assert documents.revision == 10
        file.write_text(FlagTable(revision=9, documents=[]).to_json())
        await asyncio.sleep(0.5)
        assert documents.revision == 10, "an older file is not believed"
        file.write_text(FlagTable(revision=12, documents=[document("live-001", 6)]).to_json())
        await becomes(lambda: documents.origin == "file" and documents.revision == 12)


async def test_a_wrong_document_is_counted_and_the_rest_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store(tmp_path) as store:
        async with (
            Redis.from_url(store.url, decode_responses=True) as redis,
            AsyncExitStack() as stack,
        ):
            await redis.hset(redis_names.FLAGS, "live-002", json.dumps({"sessionId": "live-002"}))
            await write(redis, 10, document("live-001", 1))
            documents = watching(stack, store.url)
            await becomes(lambda: documents.revision == 10)
            assert set(documents.by_session_id()) == {"live-001"}
    assert "bad_flag_document" in capsys.readouterr().out


async def test_what_nobody_can_read_in_redis_stops_no_acknowledgement(tmp_path: Path) -> None:
    """Before.

    One field, or one key file, that is not UTF-8, and no flag moved anywhere any more.
    """
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "bad").write_bytes(b"\xff\xfesk-secret")
    with Store(tmp_path / "store") as store:
        async with (
            Redis.from_url(store.url, decode_responses=True) as redis,
            AsyncExitStack() as stack,
        ):
            await redis.hset(redis_names.FLAGS, "binary", b"\xff\xfe")
            await write(redis, 10, document("live-001", 1))
            documents = watching(stack, store.url, missing=SecretFiles(keys).missing(["bad"]))

            async def told() -> bool:
                ack = await redis.hget(redis_names.FLAGS_ACKS, "engine-0")
                return ack is not None and FlagAck.from_json(ack).revision == 10

            await becomes(told)
            assert (await acknowledged(redis)).missing_keys == ["bad"]
            assert list(documents.by_session_id()) == ["live-001"]
            await redis.set(redis_names.FLAGS_REVISION, "junk")
            await redis.publish(redis_names.FLAGS_CHANGED, "junk")
            await write(redis, 12, document("live-001", 2))
            await becomes(lambda: documents.revision == 12)
