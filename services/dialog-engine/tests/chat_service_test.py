"""Turns through the service: real memory on disk, a scripted model and voice, no output-handler connected."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from dialog_contracts.http import ChatRequest, TurnRecord
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.sse import DoneEvent, ErrorEvent, SseFrame, TextDeltaEvent
from dialog_engine.chat_service import ChatService
from dialog_engine.errors import Busy, TooManyTurns, TurnTaken
from dialog_engine.memory_shortterm import ShortTermMemory, StoredTurn
from dialog_engine.redis_shelf import Claim
from dialog_engine.settings import EngineSettings
from dialog_flags.documents import Documents
from dialog_llm.brains import Brains
from dialog_llm.errors import ProviderError
from dialog_llm.provider import GenerationOptions, Message
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio, WordCue
from dialog_voice.voices import Voices
from service_runtime.errors import InvalidField

FLAGS = {"SYNC_TTS_STREAMING": True, "SYNC_TTS_BARGE_IN": True}


class Brain:
    name = "scripted"

    def __init__(self, pieces: Sequence[str | Exception] = ("Hello ", "there, ", "friend."), gap_s: float = 0.0) -> None:
        self.pieces, self.gap_s = list(pieces), gap_s
        self.prompts: list[list[Message]] = []
        self.open = 0

    async def stream(self, messages: Sequence[Message], options: GenerationOptions) -> AsyncGenerator[str, None]:
        self.prompts.append(list(messages))
        self.open += 1
        try:
            for piece in self.pieces:
                await asyncio.sleep(self.gap_s)
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.open -= 1

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class Voice:
    name = "scripted"

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        await asyncio.sleep(0)
        for number, _ in enumerate(text):
            yield VoiceAudio(b"\1\0" * (10 * BYTES_PER_MS), (), (WordCue(number * 20, number, number + 1),))

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class Shelf:
    """In Redis's place; what Redis does is tested beside `redis_shelf`."""

    def __init__(self) -> None:
        self.claims = [Claim.OURS]
        """What is answered, one after another; the last for ever."""

        self.history: dict[str, dict[int, TurnRecord]] = {}
        self.resets: dict[str, int] = {}
        self.voices: list[TtsRequest] = []
        self.samples: list[Any] = []

    async def claim_reply(self, correlation_id: str) -> Claim:
        return self.claims.pop(0) if len(self.claims) > 1 else self.claims[0]

    async def publish_history(self, session_id: str, records: Sequence[TurnRecord], said: TurnRecord | None = None) -> bool:
        self.history.setdefault(session_id, {}).update({record.turn: record for record in records})
        return True

    async def turns_after(self, session_id: str, turn: int) -> tuple[list[TurnRecord], int] | None:
        known = self.history.get(session_id, {})
        return [known[number] for number in sorted(known) if number > turn], self.resets.get(session_id, 0)

    async def note_reset(self, session_id: str, turn: int) -> None:
        self.resets[session_id] = turn

    async def ask_for_voice(self, request: TtsRequest) -> bool:
        self.voices.append(request)
        return True

    async def add_sample(self, sample: Any) -> None:
        self.samples.append(sample)


class Engine:
    def __init__(self, path: Path, brain: Brain, **settings: Any) -> None:
        self.brain, self.shelf = brain, Shelf()
        self.memory = ShortTermMemory(path / "engine.db")
        made = EngineSettings(output_ingest_urls=(), **settings)
        self.service = ChatService(
            made,
            self.memory,
            Brains(made, Documents(), brain),
            Voices(made, Documents(), Voice()),
            self.shelf,  # type: ignore[arg-type]
        )

    async def say(
        self, turn: int, content: str = "hi", *, session: str = "s", request_id: str | None = None, **more: Any
    ) -> list[SseFrame]:
        after = more.pop("after", None)
        request = request_of(turn, content, session=session, request_id=request_id, **more)
        async with self.service.open(request, after, None) as batches:
            return [frame async for batch in batches for frame in batch]


def request_of(turn: int, content: str, *, session: str = "s", request_id: str | None = None, **more: Any) -> ChatRequest:
    meta = {"requestId": request_id, "flags": more.pop("flags", FLAGS), **more.pop("meta", {})}
    return ChatRequest.model_validate({"sessionId": session, "turn": turn, "content": content, "meta": meta, **more})


@asynccontextmanager
async def engine(path: Path, brain: Brain | None = None, **settings: Any) -> AsyncIterator[Engine]:
    made = Engine(path, brain or Brain(), **settings)
    await made.memory.open()
    try:
        yield made
    finally:
        await made.service.close()
        await made.memory.close()
        assert made.brain.open == 0


def names(frames: list[SseFrame]) -> list[str]:
    return [frame.event for frame in frames]


def text(frames: list[SseFrame]) -> str:
    return "".join(event.content for frame in frames if isinstance(event := frame.parse(), TextDeltaEvent))


async def test_a_turn_answers_and_is_stored_before_done(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        frames = await one.say(1)
        assert text(frames) == "Hello there, friend."
        assert names(frames)[0] == "control"
        assert names(frames)[-1] == "done"
        assert [frame.id for frame in frames] == [f"1.{n}" for n in range(len(frames))]
        deltas = [frame.parse() for frame in frames if frame.event == "text-delta"]
        assert [event.eos for event in deltas if isinstance(event, TextDeltaEvent)] == [False] * (len(deltas) - 1) + [True]
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert (stored.user, stored.reply, stored.interrupted) == ("hi", "Hello there, friend.", False)
        done = frames[-1].parse()
        assert isinstance(done, DoneEvent)
        assert done.stats.tokens == 3
        assert done.stats.first_audio_ms is not None


async def test_the_next_prompt_holds_the_turns_before(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        await one.say(1, "my name is Tom", flags={})
        await one.say(2, "what is my name?", flags={})
        assert [message.content for message in one.brain.prompts[1][1:]] == [
            "my name is Tom",
            "Hello there, friend.",
            "what is my name?",
        ]
    # … also after a restart.
    async with engine(tmp_path) as again:
        await again.say(3, "and now?", flags={})
        assert [message.content for message in again.brain.prompts[0][1:]][0] == "my name is Tom"


async def test_the_same_message_never_asks_the_model_twice(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        first = await one.say(1, request_id="r1", flags={})
        assert await one.say(1, request_id="r1") == first
        assert await one.say(2, request_id="r1") == first
        assert len(one.brain.prompts) == 1
    async with engine(tmp_path) as again:
        rebuilt = await again.say(1, request_id="r1")
        assert text(rebuilt) == text(first)
        assert names(rebuilt) == [
            name for frame, name in zip(first, names(first), strict=True) if "SPEECH_START" not in frame.data
        ]
        assert again.brain.prompts == []


async def test_two_callers_of_a_running_turn_share_one_model_call(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(gap_s=0.01)) as one:
        both = await asyncio.gather(one.say(1, request_id="r"), one.say(1, request_id="r"))
        assert both[0] == both[1]
        assert len(one.brain.prompts) == 1


async def test_another_message_under_a_known_number_is_turn_taken(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        await one.say(1, request_id="r1", flags={})
        await one.say(4, request_id="r4", flags={})
        for number in (1, 3, 4):
            with pytest.raises(TurnTaken) as caught:
                await one.say(number, request_id="other")
            assert caught.value.body.code == "turn_taken"
            assert caught.value.body.next_turn == 5


async def test_resume_gives_exactly_what_is_missing(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        whole = await one.say(1, request_id="r1")
        for cut in range(len(whole)):
            assert await one.say(1, request_id="r1", after=whole[cut].id) == whole[cut + 1 :]
        with pytest.raises(InvalidField, match="Last-Event-ID"):
            await one.say(1, request_id="r1", after="junk")


async def test_a_new_turn_interrupts_and_the_prompt_knows_what_was_heard(tmp_path: Path) -> None:
    words = ["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight ", "nine ", "ten. "] * 5
    async with engine(tmp_path, Brain(words)) as one:
        first = await one.say(1)
        assert text(first) == "".join(words)
        await asyncio.sleep(0.15)
        await one.say(2, "stop that")
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert stored.interrupted
        assert stored.revision == 1
        assert "".join(words).startswith(stored.reply)
        assert 0 < len(stored.reply) < 60
        assert one.brain.prompts[1][2].content == stored.reply + "… [interrupted]"


async def test_stop_ends_the_running_turn_and_only_that_one(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["word "] * 500, gap_s=0.005)) as one:
        talking = [asyncio.create_task(one.say(1, session=name)) for name in ("a", "b")]
        await asyncio.sleep(0.1)
        assert one.service.stop("a", 7, "test") is None
        assert one.service.stop("a", 1, "test") == 1
        assert one.service.stop("a", None, "test") is None
        frames = await talking[0]
        done = frames[-1].parse()
        assert isinstance(done, DoneEvent)
        assert done.stats.interrupted
        assert not talking[1].done()
        assert one.brain.open == 1
        one.service.stop("b", None, "test")
        await talking[1]


async def test_without_barge_in_stop_and_new_turns_are_refused(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["word "] * 50, gap_s=0.005)) as one:
        talking = asyncio.create_task(one.say(1, flags={"SYNC_TTS_STREAMING": True}))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy) as refused:
            one.service.stop("s", None, "test")
        assert refused.value.body.code == "barge_in_off"
        with pytest.raises(Busy) as busy:
            await one.say(2)
        assert busy.value.body.code == "busy"
        await talking


async def test_a_caller_that_leaves_early_cancels_and_may_ask_again(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(gap_s=0.2)) as one:
        early = asyncio.create_task(one.say(1, request_id="r1"))
        await asyncio.sleep(0.05)
        early.cancel()
        await asyncio.gather(early, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert one.brain.open == 0
        assert await one.memory.find("s", 1) is None
        assert text(await one.say(1, request_id="r1")) == "Hello there, friend."


async def test_a_caller_that_leaves_later_does_not(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(gap_s=0.05)) as one:
        late = asyncio.create_task(one.say(1, flags={}))
        await asyncio.sleep(0.08)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        await asyncio.sleep(0.2)
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert stored.reply == "Hello there, friend."


async def test_a_model_that_fails_before_its_first_word_is_one_error_and_nothing_is_kept(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain([ProviderError("x", "server_error")])) as one:
        frames = await one.say(1, request_id="r")
        assert names(frames) == ["control", "error"]
        error = frames[1].parse()
        assert isinstance(error, ErrorEvent)
        assert error.retryable
        one.brain.pieces = ["Better now."]
        assert text(await one.say(1, request_id="r", flags={})) == "Better now."


async def test_a_model_that_fails_later_leaves_what_it_said(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["Half an ", ProviderError("x", "cut_stream")])) as one:
        frames = await one.say(1, flags={})
        assert names(frames) == ["control", "text-delta", "error"]
        stored = await one.memory.find("s", 1)
        assert stored is not None
        assert (stored.reply, stored.interrupted) == ("Half an ", True)
        # Its number is taken: the next message must not be written over it, nor get lost under it.
        with pytest.raises(TurnTaken):
            await one.say(1, "another", flags={})
        one.brain.pieces = ["Whole."]
        assert text(await one.say(2, "another", flags={})) == "Whole."
        again = await one.memory.find("s", 2)
        assert again is not None
        assert again.user == "another"


async def test_the_loser_of_the_claim_says_nothing(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        one.shelf.claims = [Claim.THEIRS]
        frames = await one.say(1)
        assert names(frames) == ["control", "error"]
        assert "answered_elsewhere" in frames[1].data
        assert await one.memory.find("s", 1) is None


async def test_without_redis_the_engine_goes_on_and_stops_when_it_turns_out_that_the_other_path_answers(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["word "] * 100, gap_s=0.02)) as one:
        one.shelf.claims = [Claim.UNKNOWN, Claim.UNKNOWN, Claim.THEIRS]
        frames = await one.say(1)
        assert "text-delta" in names(frames)
        assert len(frames) < 30
        assert "answered_elsewhere" in frames[-1].data
        assert await one.memory.find("s", 1) is None, "the other path's reply is the one that is remembered"


async def test_without_redis_the_engine_goes_on_and_stays_when_the_turn_is_its_own(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["word "] * 20, gap_s=0.02)) as one:
        one.shelf.claims = [Claim.UNKNOWN, Claim.OURS]
        frames = await one.say(1)
        assert names(frames)[-1] == "done"
        assert text(frames) == "word " * 20


async def test_a_caller_that_is_cut_off_from_a_turn_without_claim_may_be_having_it_answered_elsewhere(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["word "] * 100, gap_s=0.02)) as one:
        one.shelf.claims = [Claim.UNKNOWN]
        async with one.service.open(request_of(1, "hi"), None, None) as batches:
            async for batch in batches:
                if any(frame.event == "text-delta" for frame in batch):
                    break
        await asyncio.sleep(0.05)
        assert one.brain.open == 0
        assert one.shelf.samples[-1].outcome == "cancelled"
        assert await one.memory.find("s", 1) is None


async def test_turns_that_the_other_path_answered_are_in_the_prompt_and_in_the_database(tmp_path: Path) -> None:
    theirs = TurnRecord(turn=2, user="and the second?", reply="Legacy says two.", ts=5, path="legacy")
    async with engine(tmp_path) as one:
        await one.say(1, "the first?", flags={})
        await asyncio.sleep(0.02)
        # It comes while the third turn is asked already: the fourth knows it.
        await one.say(3, "the third?", flags={})
        one.shelf.history["s"][2] = theirs
        await one.say(4, "the fourth?", flags={})
        asked = [message.content for message in one.brain.prompts[-1] if message.role == "user"]
        assert asked == ["the first?", "and the second?", "the third?", "the fourth?"]
        stored = await one.memory.find("s", 2)
        assert stored is not None
        assert stored.record() == theirs


async def test_a_whole_file_is_asked_for_once_the_text_is_done_and_only_where_somebody_makes_it(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        frames = await one.say(1, "hi", flags={})
        done = frames[-1].parse()
        assert isinstance(done, DoneEvent)
        assert done.stats.voice == "file"
        await asyncio.sleep(0.02)
        assert [(asked.message_id, asked.text, asked.meta.turn) for asked in one.shelf.voices] == [
            ("s#1", "Hello there, friend.", 1)
        ]
        await one.say(2, "hi")
        assert len(one.shelf.voices) == 1, "streamed speech needs no file"
    async with engine(tmp_path, legacy_enabled=False) as one:
        await one.say(3, "hi", flags={})
        assert one.shelf.voices == []


async def test_commands_say_speaks_verbatim_and_reset_forgets(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        frames = await one.say(1, "SAY", type="COMMAND", meta={"text": "Welcome, everyone."})
        assert text(frames) == "Welcome, everyone."
        assert one.brain.prompts == []
        await one.say(2, "hello", flags={})
        assert names(await one.say(3, "RESET", type="COMMAND")) == ["control", "done"]
        await one.say(4, "who am I?", flags={})
        assert [message.content for message in one.brain.prompts[-1][1:]] == ["who am I?"]


async def test_the_command_stop_stops(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(["word "] * 200, gap_s=0.005)) as one:
        talking = asyncio.create_task(one.say(1))
        await asyncio.sleep(0.05)
        frames = await one.say(2, "STOP", type="COMMAND")
        assert '"interrupted":true' in frames[-1].data
        assert (await talking)[-1].event == "done"
        assert '"interrupted":false' in (await one.say(2, "STOP", type="COMMAND"))[-1].data


async def test_more_turns_than_the_limit_are_refused_and_the_others_go_on(tmp_path: Path) -> None:
    async with engine(tmp_path, Brain(gap_s=0.05), max_running_turns=2) as one:
        running = [asyncio.create_task(one.say(1, session=f"s{n}", flags={})) for n in range(2)]
        await asyncio.sleep(0.02)
        with pytest.raises(TooManyTurns):
            await one.say(1, session="one-too-many")
        assert [names(frames)[-1] for frames in await asyncio.gather(*running)] == ["done", "done"]
        assert text(await one.say(1, session="one-too-many", flags={}))


async def test_history_and_one_sample_a_turn_are_published(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        await one.say(1, "a", flags={})
        await one.say(2, "b", flags={})
        await asyncio.sleep(0.05)
        assert [(record.turn, record.user) for record in one.shelf.history["s"].values()] == [(1, "a"), (2, "b")]
        assert [(sample.turn, sample.outcome, sample.path) for sample in one.shelf.samples] == [
            (1, "completed", "sync"),
            (2, "completed", "sync"),
        ]


async def test_a_request_without_a_number_is_refused_by_field(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        with pytest.raises(InvalidField) as caught:
            async with one.service.open(ChatRequest(session_id="s", content="hi"), None, None):
                raise AssertionError
        assert caught.value.body.field == "turn"


async def test_a_disk_that_is_full_fails_the_turn_and_leaves_no_trace_of_it(tmp_path: Path) -> None:
    async with engine(tmp_path) as one:
        await one.say(1, "first", flags={})
        commit = one.memory.commit

        async def full(_: StoredTurn) -> None:
            raise apsw.FullError("database or disk is full")

        one.memory.commit = full  # type: ignore[method-assign,assignment]
        failed = await one.say(2, "second", request_id="r-2", flags={})
        assert names(failed)[-1] == "error"
        error = failed[-1].parse()
        assert isinstance(error, ErrorEvent)
        assert "could not be stored" in error.message
        one.memory.commit = commit  # type: ignore[method-assign]
        again = await one.say(2, "second", request_id="r-2", flags={})
        assert (names(again)[-1], again[0].id) == ("done", "2.0"), "the same message may come again under its number"
        prompts = [message.content for message in one.brain.prompts[-1]]
        assert prompts.count("second") == 1, "the turn that history never saw is not in the prompt either"
