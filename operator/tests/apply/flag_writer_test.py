"""Documents in Redis: one transaction, only what differs, and a revision that never goes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from dialog_contracts.http import FlagSet
from dialog_contracts.redis_names import FLAGS, FLAGS_CHANGED, FLAGS_REVISION
from dialog_contracts.session_document import SessionDocument
from dialog_redis.client import RedisClient, RedisUnavailable
from vtuber_operator.apply.flag_writer import FlagWriter
from vtuber_operator.testing.redis_server import RedisServer
from vtuber_operator.testing.wait import until

NOW_MS = 1_760_000_000_000
Documents = dict[str, SessionDocument]
Made = Callable[[], FlagWriter]


def documents(**generations: int) -> Documents:
    """Session → generation of its flags."""
    return {
        session: SessionDocument(
            session_id=session, flags=FlagSet(generation=generation), resource=f"vt/{session}"
        )
        for session, generation in generations.items()
    }


async def held(redis: "Redis") -> tuple[dict[str, int], int]:
    """What Redis holds: session → generation, and the revision."""
    texts = await redis.hgetall(FLAGS)
    found = {
        str(session): SessionDocument.from_json(text).flags.generation
        for session, text in texts.items()
    }
    return found, int(await redis.get(FLAGS_REVISION) or 0)


@pytest.fixture
async def client(url: str) -> AsyncIterator[RedisClient]:
    made = RedisClient(url, timeout_s=2, cooldown_s=0, retry=False, encoding_errors="replace")
    yield made
    await made.aclose()


@pytest.fixture
def made(client: RedisClient) -> Made:
    """A writer, as after a start of the operator; its clock stands."""
    return lambda: FlagWriter(client, clock_ms=lambda: NOW_MS)


async def test_documents_revision_and_message_come_together_and_only_what_differs(
    made: Made, redis: "Redis"
) -> None:
    writer = made()
    async with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(FLAGS_CHANGED)
        await pubsub.get_message(timeout=1)
        assert await writer.sync(documents(a=1, b=1))
        assert await held(redis) == ({"a": 1, "b": 1}, NOW_MS)
        assert await writer.sync(documents(a=1, b=1)) is False
        assert await writer.sync(documents(a=2, b=1))
        assert await held(redis) == ({"a": 2, "b": 1}, NOW_MS + 1), (
            "above the last one although the clock stands"
        )
        assert (writer.written["a"].revision, writer.written["b"].revision) == (
            NOW_MS + 1,
            NOW_MS,
        ), "b was not written again"
        assert await writer.sync(documents(b=1))
        assert await held(redis) == ({"b": 1}, NOW_MS + 2)
        heard = [(await pubsub.get_message(timeout=2) or {}).get("data") for _ in range(3)]
        assert heard == [str(NOW_MS), str(NOW_MS + 1), str(NOW_MS + 2)]
        assert await pubsub.get_message(timeout=0.05) is None


async def test_after_a_restart_what_is_there_is_read_and_not_written_again(
    made: Made, redis: "Redis"
) -> None:
    await made().sync(documents(a=5))
    again = made()
    assert not again.known
    assert await again.sync(documents(a=5)) is False
    assert again.known
    assert again.revision == again.written["a"].revision == NOW_MS
    assert again.written["a"].generation == 5


async def test_what_somebody_else_wrote_is_mended_after_a_restart(
    made: Made, redis: "Redis"
) -> None:
    await redis.hset(FLAGS, mapping={"a": "no document", b"\xff": "neither"})
    writer = made()
    await writer.prepare()
    assert writer.written["a"].generation == 0
    assert await writer.sync(documents(a=1))
    assert SessionDocument.from_json(str(await redis.hget(FLAGS, "a"))) == documents(a=1)["a"]


@pytest.mark.parametrize("revision", ["rubbish", "-7", "²", "1.5", b"\xff"])
async def test_a_revision_that_is_no_number_is_replaced(
    made: Made, redis: "Redis", revision: str | bytes
) -> None:
    await redis.set(FLAGS_REVISION, revision)
    await redis.hset(FLAGS, "a", documents(a=1)["a"].to_json())
    writer = made()
    assert await writer.sync(documents(a=1)), "pods compare revisions: there has to be one"
    assert await held(redis) == ({"a": 1}, NOW_MS)
    assert await writer.sync(documents(a=1)) is False


async def test_an_emptied_redis_is_noticed_and_its_revision_goes_on(
    made: Made, redis: "Redis"
) -> None:
    writer = made()
    await writer.sync(documents(a=1))
    await redis.flushall()
    assert await writer.sync(documents(a=1)) is False, "taken for granted until it is looked at"
    await writer.verify()
    assert not writer.in_sync
    assert await writer.sync(documents(a=1))
    assert await held(redis) == ({"a": 1}, NOW_MS + 1)


async def test_an_older_redis_restored_with_equal_documents_goes_forth_all_the_same(
    made: Made, redis: "Redis"
) -> None:
    writer = made()
    await writer.sync(documents(a=1, b=1))
    await redis.set(FLAGS_REVISION, NOW_MS - 1_000)
    await writer.verify()
    assert await writer.sync(documents(a=1, b=1))
    assert await held(redis) == ({"a": 1, "b": 1}, NOW_MS + 1)
    assert {each.revision for each in writer.written.values()} == {NOW_MS + 1}, (
        "no acknowledgement of before counts"
    )
    assert await writer.sync(documents(a=1, b=1)) is False


async def test_a_newer_revision_of_another_operator_is_not_undercut(
    made: Made, redis: "Redis"
) -> None:
    writer = made()
    await writer.sync(documents(a=1))
    await redis.set(FLAGS_REVISION, NOW_MS + 50_000)
    await writer.verify()
    assert await writer.sync(documents(a=2))
    assert await held(redis) == ({"a": 2}, NOW_MS + 50_001)


async def test_a_reserved_revision_is_below_every_later_write(store: RedisServer) -> None:
    client = RedisClient(
        store.url, timeout_s=0.5, cooldown_s=0, retry=False, encoding_errors="replace"
    )
    writer = FlagWriter(client, clock_ms=lambda: NOW_MS)
    await writer.sync(documents(a=1))
    store.stop()
    with pytest.raises(RedisUnavailable):
        await writer.sync(documents(a=2))
    assert writer.written["a"].generation == 1, "nothing is said to be written that was not"
    reserved = writer.next_generation()
    assert reserved == NOW_MS + 1
    store.start()
    assert await writer.sync(documents(a=2))
    assert writer.revision == NOW_MS + 2
    async with Redis.from_url(store.url, decode_responses=True) as redis:
        assert await held(redis) == ({"a": 2}, NOW_MS + 2)
    await client.aclose()


class Wire:
    """Between a client and Valkey; while `mute`, what Valkey answers is lost."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self.mute = False

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                if not (answers and self.mute):
                    writer.write(piece)
                    await writer.drain()
        writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_valkey, to_valkey = await asyncio.open_connection(self._to.hostname, self._to.port)
        await asyncio.gather(
            self._pass(reader, to_valkey, answers=False),
            self._pass(from_valkey, writer, answers=True),
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        finally:
            server.close()
            await server.wait_closed()


async def test_a_write_whose_answer_is_lost_is_looked_up_and_not_made_twice(
    url: str, redis: "Redis"
) -> None:
    wire = Wire(url)
    async with wire.open() as lossy:
        client = RedisClient(
            lossy, timeout_s=0.3, cooldown_s=0, retry=False, encoding_errors="replace"
        )
        writer = FlagWriter(client, clock_ms=lambda: NOW_MS)
        await writer.prepare()
        wire.mute = True
        with pytest.raises(RedisUnavailable):
            await writer.sync(documents(a=1))
        there: dict[str, int] = {}

        async def look() -> None:
            while not there:
                there.update((await held(redis))[0])

        await asyncio.wait_for(look(), 5)
        wire.mute = False
        assert await writer.sync(documents(a=1)) is False
        assert writer.written["a"].revision == writer.revision == NOW_MS
        await client.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1, "the wire is down")
