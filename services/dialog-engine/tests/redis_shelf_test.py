"""Claims, history and samples in a real Valkey."""

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.samples import TurnSample
from dialog_engine.redis_shelf import RedisShelf
from service_runtime.redis_link import RedisLink
from vtuber_cli import ports, valkey


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = ports.free()
    process = subprocess.Popen(valkey.command(tmp_path_factory.mktemp("valkey"), port), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not ports.busy(port):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.wait(timeout=5)


@pytest.fixture
async def link(url: str) -> AsyncIterator[RedisLink]:
    opened = RedisLink(url, timeout_s=2)
    await opened.client.flushall()
    yield opened
    await opened.aclose()


def record(turn: int) -> TurnRecord:
    return TurnRecord(turn=turn, user=f"q{turn}", reply=f"a{turn}", ts=turn)


async def test_one_path_gets_the_reply_and_keeps_it(link: RedisLink) -> None:
    shelf = RedisShelf(link)
    assert await shelf.claim_reply("s#1")
    assert await shelf.claim_reply("s#1")
    assert 0 < await link.client.ttl(redis_names.reply_claim("s#1")) <= 600
    await link.client.set(redis_names.reply_claim("s#2"), "legacy", nx=True)
    assert not await shelf.claim_reply("s#2")


async def test_history_is_replaced_whole_and_the_counter_only_rises(link: RedisLink) -> None:
    shelf = RedisShelf(link)
    await shelf.publish_history("s", [record(1), record(2)])
    await shelf.publish_history("s", [record(2), record(3)])
    rows = await link.client.lrange(redis_names.history("s"), 0, -1)
    assert [TurnRecord.from_json(row).turn for row in rows] == [2, 3]
    assert await link.client.get(redis_names.turn_counter("s")) == "3"
    await link.client.set(redis_names.turn_counter("s"), 9)
    await shelf.publish_history("s", [record(4)])
    assert await link.client.get(redis_names.turn_counter("s")) == "9"
    assert await link.client.zrange(redis_names.SESSIONS, 0, -1) == ["s"]
    assert await link.client.ttl(redis_names.history("s")) > 0


async def test_each_turn_adds_one_sample(link: RedisLink) -> None:
    sample = TurnSample(session_id="s", turn=1, flags=FlagSet(), path="sync", outcome="completed", ttft_ms=12.5, ts=1.0)
    await RedisShelf(link).add_sample(sample)
    entries: Any = await link.client.xrange(redis_names.TURN_SAMPLES)
    assert [TurnSample.from_json(fields["sample"]) for _, fields in entries] == [sample]


async def test_without_redis_the_claim_is_granted_and_the_rest_is_let_go() -> None:
    link = RedisLink(f"redis://127.0.0.1:{ports.free()}/0")
    shelf = RedisShelf(link)
    assert await shelf.claim_reply("s#1")
    await shelf.publish_history("s", [record(1)])
    assert link.down_because is not None
    await link.aclose()
