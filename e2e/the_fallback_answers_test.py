"""When the engine cannot answer, the legacy chain does: the same turn, once, in voice, and counted.

One row of the matrix a test.
"""

import asyncio
import io
import json
import os
import re
import signal
import time
import uuid
import wave
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import FlagSet
from dialog_contracts.turn_sample import TurnSample
from e2e import timeouts
from e2e.clients.legacy import LegacyClient, Reply
from e2e.harness import faulty_engine
from e2e.harness.clients import Answer, Viewer, chat, get, watching
from e2e.harness.flag_documents import known_everywhere, write
from e2e.harness.recordings import webm
from e2e.harness.stack import Stack

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
ANSWERED_WITHIN_S = 2.0
"""Of the trigger; with a model and a voice that answer at once."""

FLAGS = {
    "legacy": FlagSet(ENABLE_SYNC_CORE=False),
    "core": FlagSet(),
    "streaming": FlagSet(SYNC_TTS_STREAMING=True),
    "bargein": FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True),
}


@pytest.fixture(scope="module")
def stack(with_fallback: Stack) -> Stack:
    """With a document for each session of the matrix."""

    async def documents() -> None:
        async with Redis.from_url(with_fallback.redis, decode_responses=True) as redis:
            revision = int(await redis.get(redis_names.FLAGS_REVISION) or 0)
            for fault in (
                *faulty_engine.BEFORE_ANY_WORD,
                *faulty_engine.AFTER_A_WORD,
                *faulty_engine.HARMLESS,
            ):
                for name, flags in FLAGS.items():
                    revision += 1
                    await write(redis, revision, f"{fault}-{name}", flags)
            await known_everywhere(with_fallback, revision)

    asyncio.run(documents())
    return with_fallback


def path_of(answer: Answer) -> str:
    return str(answer.stats.get("path") or "sync")


async def fallbacks(stack: Stack) -> dict[str, float]:
    """Counted reasons."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{stack.service('input-handler')}/metrics") as answer,
    ):
        text = await answer.text()
    return {
        reason: float(count)
        for reason, count in re.findall(r'dialog_fallbacks_total{reason="(\w+)"} (\S+)', text)
    }


async def spoken(viewer: Viewer, answer: Answer) -> None:
    """Until the viewer has the end of this turn."""
    await viewer.until(
        lambda seen: any(frame["turn"] == answer.turn for frame in seen.of("CONTROL", "END"))
    )


@pytest.mark.parametrize("fault", [*faulty_engine.BEFORE_ANY_WORD, *faulty_engine.HARMLESS])
async def test_a_text_gets_exactly_one_reply_in_text_and_voice(stack: Stack, fault: str) -> None:
    before = await fallbacks(stack)
    legacy = await asyncio.gather(*(one_reply(stack, fault, flags) for flags in FLAGS))
    assert sum((await fallbacks(stack)).values()) == sum(before.values()) + sum(legacy), (
        "each is counted, once"
    )


async def one_reply(stack: Stack, fault: str, flags: str) -> bool:
    """One cell of the matrix; whether the chain answered."""
    async with watching(stack.ws, f"{fault}-{flags}") as viewer:
        began = time.monotonic()
        answer = await chat(stack.url, f"{fault}-{flags}")
        took = time.monotonic() - began
        assert answer.events[-1] == "done", answer.frames[-1]
        assert answer.events.count("done") == 1
        assert len(answer.text.split()) == 8
        assert len({frame.id for frame in answer.frames}) == len(answer.frames)
        legacy = flags == "legacy" or fault in faulty_engine.BEFORE_ANY_WORD
        assert path_of(answer) == ("legacy" if legacy else "sync")
        detection = {"hangs": 0.3, "silent": 0.8}.get(fault, 0.0) if flags != "legacy" else 0.0
        assert not legacy or took < detection + ANSWERED_WITHIN_S
        await spoken(viewer, answer)
        await asyncio.sleep(0.2)
        assert [frame["turn"] for frame in viewer.of("CONTROL", "END")] == [answer.turn], (
            "one end of one reply"
        )
        words = answer.text.strip()
        # Streamed speech has its pauses between fragments; twice would be more than double.
        assert len(words) * 0.008 < viewer.seconds_of(answer.turn) < len(words) * 0.018, (
            "it was spoken, once"
        )
        assert "".join(frame["content"] for frame in viewer.of("TEXT_DELTA")).strip() == words
        if legacy:
            (start,) = viewer.of("CONTROL", "START")[-1:]
            assert (start["path"], start["userText"]) == ("legacy", "Hello there, who are you?")
            assert any(chunk.viseme for chunk in viewer.chunks), "the mouth moves"
    return legacy


@pytest.mark.parametrize(
    "fault", [*faulty_engine.BEFORE_ANY_WORD, *faulty_engine.AFTER_A_WORD, *faulty_engine.HARMLESS]
)
async def test_a_recording_gets_exactly_one_reply(stack: Stack, fault: str) -> None:
    recording = webm(1.0)

    async def one(flags: str) -> None:
        session = f"{fault}-{flags}"
        async with watching(stack.ws, session) as viewer:
            assert_spoken(await LegacyClient(stack.ws, session).send_recording(recording))
            await viewer.until(lambda seen: seen.of("CONTROL", "END"))
            await asyncio.sleep(0.3)
            assert [len(viewer.of("CONTROL", action)) for action in ("START", "END")] == [1, 1]
            assert viewer.of("ERROR") == []

    await asyncio.gather(*(one(flags) for flags in FLAGS))


@pytest.mark.parametrize("flags", FLAGS)
async def test_an_older_client_beside_a_page_is_answered_also_when_it_listens_after_the_page_has_heard_it(
    stack: Stack, flags: str
) -> None:
    session = f"well-{flags}"
    async with watching(stack.ws, session) as viewer:
        asked = asyncio.create_task(
            LegacyClient(stack.ws, session).say("Hello there, who are you?", listen_after_s=2)
        )
        await viewer.until(lambda seen: seen.of("CONTROL", "END"))
        assert_spoken(await asyncio.wait_for(asked, timeouts.TURN))


@pytest.mark.parametrize("fault", faulty_engine.AFTER_A_WORD)
async def test_after_the_first_word_there_is_an_error_and_never_a_second_reply(
    stack: Stack, fault: str
) -> None:
    for flags in ("core", "streaming", "bargein"):
        session = f"{fault}-{flags}"
        async with watching(stack.ws, session) as viewer:
            answer = await chat(stack.url, session)
            assert answer.events[-1] == "error"
            assert "engine_lost" in answer.frames[-1].data
            await spoken(viewer, answer)
            await asyncio.sleep(0.3)
            assert len(viewer.of("CONTROL", "END")) == 1, (
                "the viewers hear the engine's reply to its end, and no other"
            )
            assert all(frame.get("path") is None for frame in viewer.of("CONTROL", "START"))


@pytest.mark.parametrize("flags", FLAGS)
async def test_an_older_client_is_answered_on_either_path_also_when_it_listens_late(
    stack: Stack, flags: str
) -> None:
    # Its sessions are its tasks, which no document names: the flags of everybody are changed.
    async with Redis.from_url(stack.redis, decode_responses=True) as redis:
        await write(redis, int(time.time() * 1000), "*", FLAGS[flags])
        await known_everywhere(stack, int(await redis.get(redis_names.FLAGS_REVISION) or 0))
    client, recording = LegacyClient(stack.ws), webm(1.0)
    at_once, late = 0.0, 1.5
    replies = await asyncio.gather(
        *(
            client.say("Hello there, who are you?", listen_after_s=after)
            for after in (at_once, late)
        ),
        *(client.send_recording(recording, listen_after_s=after) for after in (at_once, late)),
    )
    for reply in replies:
        assert_spoken(reply)


def assert_spoken(reply: Reply) -> None:
    assert reply.error is None
    assert len(reply.text.split()) == 8
    with wave.open(io.BytesIO(reply.audio)) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        assert file.getnframes() / 24_000 == pytest.approx(len(reply.text.strip()) * 0.01, rel=0.5)


async def test_one_history_whoever_answered(stack: Stack) -> None:
    session = "well-core"
    async with Redis.from_url(stack.redis, decode_responses=True) as redis:
        first = await chat(stack.url, session, "the first")
        await write(redis, int(time.time() * 1000), session, FLAGS["legacy"])
        await known_everywhere(stack, int(await redis.get(redis_names.FLAGS_REVISION) or 0))
        second = await chat(stack.url, session, "the second")
        await write(redis, int(time.time() * 1000), session, FLAGS["core"])
        await known_everywhere(stack, int(await redis.get(redis_names.FLAGS_REVISION) or 0))
        third = await chat(stack.url, session, "the third")
        assert [path_of(answer) for answer in (first, second, third)] == ["sync", "legacy", "sync"]
        assert [second.turn - first.turn, third.turn - second.turn] == [1, 1]
        async with asyncio.timeout(timeouts.TURN):
            while len(known := (await get(f"{stack.url}/sessions/{session}/turns"))["turns"]) < 3:
                await asyncio.sleep(0.05)
        assert [(turn["user"], turn["path"]) for turn in known[-3:]] == [
            ("the first", "sync"),
            ("the second", "legacy"),
            ("the third", "sync"),
        ]
        adopted = [line for line in stack.log_lines("dialog-engine") if line["event"] == "adopted"]
        assert any(second.turn in line["turns"] for line in adopted if line["session"] == session)  # type: ignore[operator]
        entries: Any = await redis.xrange(redis_names.TURN_SAMPLES)
        samples = [TurnSample.from_json(fields["sample"]) for _, fields in entries]
        mine = [(one.turn, one.path, one.outcome) for one in samples if one.session_id == session]
        assert mine[-3:] == [
            (first.turn, "sync", "completed"),
            (second.turn, "legacy", "completed"),
            (third.turn, "sync", "completed"),
        ]


async def test_a_killed_consumer_at_any_step_still_answers_once(stack: Stack) -> None:
    for number, service in enumerate(("memory", "chat-ai", "tts")):
        session = f"absent-killed{number}"
        async with watching(stack.ws, session) as viewer:
            os.kill(stack.pid_of(service), signal.SIGSTOP)
            asking = asyncio.create_task(chat(stack.url, session, request_id=f"kill-{service}"))
            await asyncio.sleep(0.5)
            # It holds the turn's message, or would get it: dead in the middle of its step.
            os.kill(stack.pid_of(service), signal.SIGKILL)
            answer = await asking
            assert (answer.events[-1], path_of(answer)) == ("done", "legacy")
            await spoken(viewer, answer)
            await asyncio.sleep(0.5)
            assert len(viewer.of("CONTROL", "END")) == 1


async def test_a_recording_is_answered_once_also_when_asr_dies_with_it(stack: Stack) -> None:
    session = "absent-recorded"
    async with watching(stack.ws, session) as viewer:
        os.kill(stack.pid_of("asr"), signal.SIGSTOP)
        asking = asyncio.create_task(LegacyClient(stack.ws, session).send_recording(webm(1.0)))
        await asyncio.sleep(0.7)
        os.kill(stack.pid_of("asr"), signal.SIGKILL)
        assert_spoken(await asking)
        await asyncio.sleep(0.5)
        assert [len(viewer.of("CONTROL", action)) for action in ("START", "END")] == [1, 1]


async def test_a_recording_is_answered_once_also_when_input_handler_dies_in_its_turn(
    stack: Stack,
) -> None:
    session = "silent-recorded"

    def asked() -> bool:
        lines = stack.log_lines("input-handler")
        return any(
            line["event"] == "turn_received" and str(line["correlationId"]).startswith(session)
            for line in lines
        )

    async with watching(stack.ws, session) as viewer:
        asking = asyncio.create_task(LegacyClient(stack.ws, session).send_recording(webm(1.0)))
        async with asyncio.timeout(timeouts.TURN):
            while not asked():
                await asyncio.sleep(0.02)
        # The engine has accepted the turn and says nothing: it would be given up 0.8 s after it was
        # asked.
        os.kill(stack.pid_of("input-handler"), signal.SIGKILL)
        assert_spoken(await asking)
        await asyncio.sleep(0.5)
        assert len(viewer.of("CONTROL", "END")) == 1


async def test_bad_uploads_end_in_a_clear_error_and_nothing_is_queued(stack: Stack) -> None:
    client = LegacyClient(stack.ws)
    with pytest.raises(RuntimeError, match="none of webm, ogg, wav, mp3, m4a"):
        await client.send_recording(b"/etc/passwd")
    undecodable = await client.send_recording(b"OggS" + b"\0" * 2_000)
    assert undecodable.error is not None
    assert not undecodable.text
    with pytest.raises(AssertionError, match="a recording has at most 16777216 bytes"):
        await client.send_recording(b"OggS" + b"x" * (100 * 1024 * 1024), chunk_bytes=1024 * 1024)
    with pytest.raises(RuntimeError, match="the upload is empty"):
        await client.upload("audio", [])
    # Leaves in the middle: nobody said that it was all.
    await client.leave_in_the_middle(webm(0.5))
    async with Redis.from_url(stack.redis, decode_responses=True) as redis:
        assert await redis.llen(redis_names.ASR_TASKS) == 0
        # What an older producer pushes: a path is refused, and whoever waits is told.
        task = f"older-{uuid.uuid4().hex[:8]}"
        older = {
            "task_id": task,
            "audio": {"type": "file", "path": "../../etc/passwd", "format": "wav"},
        }
        await redis.lpush(redis_names.ASR_TASKS, json.dumps(older))
        reply = await client.listen(task)
        assert reply.error is not None
        assert "passwd" not in reply.error
        await redis.lpush(
            redis_names.USER_INPUT_QUEUE,
            "not json",
            json.dumps({"task_id": "../..", "content": "x"}),
        )
        async with asyncio.timeout(timeouts.TURN):
            while await redis.llen(redis_names.dead_letter(redis_names.USER_INPUT_QUEUE)) < 2:
                await asyncio.sleep(0.02)
    assert_spoken(await client.say("Hello there, who are you?"))
