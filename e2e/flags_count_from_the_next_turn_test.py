"""A flag that is changed on air.

Every service acknowledges, the running turn ends as it began, the next one follows the change.
"""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import EVERY_SESSION, FlagAck, Persona, SessionLlm
from e2e import timeouts
from e2e.harness.clients import chat, watching
from e2e.harness.flag_documents import known_everywhere, write
from e2e.harness.stack import FAKES, Stack, running

pytestmark = pytest.mark.processes
VOICED = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)


async def generations(stack: Stack, turns: int) -> list[object]:
    """Of the turns in the order of their ends, once there are so many."""
    async with asyncio.timeout(timeouts.TURN):
        while True:
            ended = [
                line for line in stack.log_lines("dialog-engine") if line["event"] == "turn_ended"
            ]
            if len(ended) >= turns:
                return [line["flags_generation"] for line in ended]
            await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
async def test_on_and_off_while_a_session_talks(tmp_path: Path) -> None:
    # POD_NAME is the same for all here: what is acknowledged is looked at, not who was first.
    env = {
        **FAKES,
        "FAKE_WORD_S": "0.01",
        "FAKE_CHAR_MS": "10",
        "POD_NAME": "this-machine",
        "SYNC_TTS_STREAMING": "false",
    }
    with running(
        tmp_path,
        {
            **env,
            "SYNC_TTS_BARGE_IN": "false",
            "ENABLE_STREAMS_OUTBOX": "false",
            "ENABLE_LTM": "false",
        },
    ) as stack:
        async with (
            Redis.from_url(stack.redis, decode_responses=True) as redis,
            watching(stack.ws, "live-001") as viewer,
        ):
            silent = await chat(stack.url, "live-001", "one")
            assert silent.stats["voice"] == "off"

            await write(redis, 101, EVERY_SESSION, VOICED)
            await known_everywhere(stack, 101)
            ack = FlagAck.from_json(await redis.hget(redis_names.FLAGS_ACKS, "this-machine") or "")
            assert ack.revision == 101

            talking = asyncio.create_task(chat(stack.url, "live-001", "two"))
            await viewer.until(lambda v: any(chunk.turn == 2 for chunk in v.chunks))
            await write(redis, 102, "live-001", FlagSet())
            await known_everywhere(stack, 102)
            spoken = await talking
            assert (spoken.events[-1], spoken.stats["voice"]) == ("done", "fake")
            await viewer.until(lambda v: [f for f in v.of("CONTROL", "END") if f["turn"] == 2])
            assert viewer.seconds_of(2) > 1, "the running turn was spoken to its end"

            followed = await chat(stack.url, "live-001", "three")
            assert followed.stats["voice"] == "off"
            assert (await chat(stack.url, "live-002", "another session")).stats["voice"] == "fake"
            assert not viewer.closed.is_set()

            assert await generations(stack, 4) == [0, 101, 102, 101]
            assert await redis.xlen(redis_names.TURN_SAMPLES) == 4

            # Nothing changes when Redis forgets everything.
            await redis.flushall()
            await redis.publish(redis_names.FLAGS_CHANGED, 0)
            await asyncio.sleep(0.2)
            assert (await chat(stack.url, "live-002", "and again")).stats["voice"] == "fake"


@pytest.mark.timeout(120)
async def test_a_sessions_document_says_who_answers(as_newcomer: Stack) -> None:
    async with Redis.from_url(as_newcomer.redis, decode_responses=True) as redis:
        persona = Persona(instructions="You are Mia.", lang="en")
        key = "studio.openai.api-key.1"
        llm = SessionLlm(provider="openai", base_url="http://127.0.0.1:9/v1", api_key_file=key)
        await write(redis, 201, "mia", VOICED, persona=persona, llm=llm)
        await known_everywhere(as_newcomer, 201)
        answer = await chat(as_newcomer.url, "mia", "hello")
        assert (answer.events[-1], bool(answer.text)) == ("done", True), (
            "without its key the engine's own model answers"
        )
        lines = [
            line
            for line in as_newcomer.log_lines("dialog-engine")
            if line["event"] == "session_key_missing"
        ]
        assert [line["file"] for line in lines] == [key]
