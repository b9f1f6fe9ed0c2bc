"""Somebody writes; every viewer hears and reads the answer, once, in order, in step."""

import asyncio
import base64
import json

import pytest

from e2e import timeouts
from e2e.harness.clients import chat, get, watching
from e2e.harness.stack import Stack

pytestmark = pytest.mark.processes


async def test_the_viewer_hears_what_the_caller_reads(fake_models: Stack) -> None:
    async with watching(fake_models.ws, "heard") as viewer:
        answer = await chat(fake_models.url, "heard")
        await viewer.until(lambda v: v.of("CONTROL", "END"))
        assert answer.events[0] == "control"
        assert answer.events[-1] == "done"
        assert [frame.id for frame in answer.frames] == [
            f"{answer.turn}.{n}" for n in range(len(answer.frames))
        ]
        stats = json.loads(answer.frames[-1].data)["stats"]
        assert stats["tokens"] == 36
        assert 0 < stats["ttft_ms"] < stats["first_audio_ms"]
        shown = "".join(frame["content"] for frame in viewer.of("TEXT_DELTA"))
        assert shown == answer.text
        assert [chunk.seq for chunk in viewer.chunks] == list(range(len(viewer.chunks)))
        at = 0
        for chunk in viewer.chunks:
            assert chunk.offset_ms == at
            at += chunk.duration_ms
        assert at == viewer.of("CONTROL", "END")[0]["audioMs"]
        assert viewer.chunks[-1].text_end == len(answer.text)
        assert any(chunk.viseme.get("aa", 0) > 0.5 for chunk in viewer.chunks)
        assert viewer.phases()[:3] == ["IDLE", "THINKING", "SPEAKING"]
        await viewer.until(lambda v: v.phases()[-1] == "IDLE")


async def test_json_and_binary_viewers_get_the_same_chunks(fake_models: Stack) -> None:
    async with (
        watching(fake_models.ws, "both", "vtuber.v2") as text,
        watching(fake_models.ws, "both") as packed,
    ):
        await chat(fake_models.url, "both")
        for viewer in (text, packed):
            await viewer.until(lambda v: v.of("CONTROL", "END"))
        chunks = text.of("SPEECH_CHUNK")
        assert [(c["seq"], c["offsetMs"], base64.b64decode(c["pcm"])) for c in chunks] == [
            (c.seq, c.offset_ms, c.payload) for c in packed.chunks
        ]


async def test_a_late_viewer_joins_at_the_live_position(fake_models: Stack) -> None:
    async with watching(fake_models.ws, "late") as early:
        asking = asyncio.create_task(chat(fake_models.url, "late"))
        await early.until(lambda v: len(v.chunks) > 40)
        async with watching(fake_models.ws, "late") as late:
            await late.until(lambda v: v.of("CONTROL", "END"))
            assert late.of("CONTROL", "START")[0]["turn"] == early.of("CONTROL", "START")[0]["turn"]
            assert late.chunks[0].offset_ms > 400
            assert [c.seq for c in late.chunks] == list(
                range(late.chunks[0].seq, late.chunks[-1].seq + 1)
            )
            assert (
                "".join(frame["content"] for frame in late.of("TEXT_DELTA")) == (await asking).text
            )
            anchor = [
                frame["startedAt"] for frame in late.of("STATE") if frame["phase"] == "SPEAKING"
            ]
            assert (
                anchor[-1]
                == [
                    frame["startedAt"]
                    for frame in early.of("STATE")
                    if frame["phase"] == "SPEAKING"
                ][-1]
            )


async def test_an_old_client_gets_its_text_and_one_file(fake_models: Stack) -> None:
    async with (
        watching(fake_models.ws, "old", None) as viewer,
        watching(fake_models.ws, "old") as new,
    ):
        answer = await chat(fake_models.url, "old")
        await viewer.until(lambda v: v.of("audio_complete"))
        reply = viewer.frames[0]
        assert (reply["status"], reply["content"], reply["audio_present"]) == (
            "success",
            answer.text,
            True,
        )
        assert (
            len(viewer.slices)
            == viewer.of("audio_chunk")[0]["total_chunks"]
            == len(viewer.of("audio_chunk"))
        )
        assert all(len(piece) <= 65_536 for piece in viewer.slices)
        file = b"".join(viewer.slices)
        assert file[:4] == b"RIFF"
        assert file[44:] == b"".join(chunk.payload for chunk in new.chunks)


async def test_sessions_do_not_hear_each_other(fake_models: Stack) -> None:
    async with watching(fake_models.ws, "left") as left, watching(fake_models.ws, "right") as right:
        await asyncio.gather(
            chat(fake_models.url, "left", "one"), chat(fake_models.url, "right", "two")
        )
        for viewer, name, asked in ((left, "left", "one"), (right, "right", "two")):
            await viewer.until(lambda v: v.of("CONTROL", "END"))
            assert {frame["sessionId"] for frame in viewer.frames if "sessionId" in frame} == {name}
            assert [frame["userText"] for frame in viewer.of("CONTROL", "START")] == [asked]


async def test_clocks_agree(fake_models: Stack) -> None:
    async with watching(fake_models.ws, "time") as viewer:
        await viewer.send(type="TIME", t0=12.5)
        await viewer.until(lambda v: v.of("TIME"), timeouts.STOPPED)
        first = viewer.of("TIME")[0]
        await viewer.send(type="TIME", t0=13)
        await viewer.until(lambda v: len(v.of("TIME")) == 2, timeouts.STOPPED)
        assert first["t0"] == 12.5
        assert viewer.of("TIME")[1]["t1"] >= first["t1"]


async def test_what_a_newcomer_starts_answers_in_both_languages_with_a_voice(
    as_newcomer: Stack,
) -> None:
    async with watching(as_newcomer.ws, "newcomer") as viewer:
        for turn, (question, script) in enumerate(
            (("你好，你是谁？", "\u4e00"), ("Hello, who are you?", "a")), start=1
        ):
            answer = await chat(as_newcomer.url, "newcomer", question)
            assert answer.turn == turn
            hanzi = sum("\u4e00" <= char <= "\u9fff" for char in answer.text)
            assert (hanzi > len(answer.text) / 2) == (script == "\u4e00")
            # Three seconds are enough to hear her; the next question cuts her off.
            await viewer.until(lambda v, turn=turn: v.seconds_of(turn) > 3)  # type: ignore[misc]
            assert (
                len(
                    {name for chunk in viewer.chunks if chunk.turn == turn for name in chunk.viseme}
                )
                >= 6
            )
        turns = (await get(f"{as_newcomer.url}/sessions/newcomer/turns"))["turns"]
        assert [entry["user"] for entry in turns] == ["你好，你是谁？", "Hello, who are you?"]
        assert "newcomer" in [
            entry["sessionId"] for entry in (await get(f"{as_newcomer.url}/sessions"))["sessions"]
        ]
