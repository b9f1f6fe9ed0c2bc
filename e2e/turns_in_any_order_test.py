"""Whatever is done to a session, in whatever order and at whatever moment: an engine's turns, its voice, and the session at output-handler,
wired to each other in virtual time. What is promised of STOP and of memory holds for all of it together."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import looptime
from hypothesis import Phase as Step
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_contracts.http import FlagSet, TurnRecord
from dialog_contracts.ingest import (
    TO_ENGINE,
    TO_OUTPUT,
    Heartbeat,
    PlaybackControl,
    Played,
    Stop,
    StopResult,
)
from dialog_contracts.legacy_chain import TtsRequest
from dialog_contracts.limits import BYTES_PER_MS
from dialog_contracts.viewer import Phase
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.redis_store import ClaimState
from dialog_engine.stored_turn import StoredTurn
from dialog_engine.turn.ports import TurnResult
from dialog_engine.turn.request import TurnRequest
from dialog_engine.turn.runner import TurnRunner
from dialog_voice.voice import VoiceAudio, WordCue
from output_handler.playback.session import PlaybackSession
from output_handler.playback.turn import AudioFrame
from output_handler.viewers.viewer import Viewer

FLAGS = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True)
WORDS = [f"word{number:02}{'. ' if number % 5 == 4 else ' '}" for number in range(15)]
WORD_MS = 200
ON_THE_WAY_S = 0.001


class Voice:
    """Every word takes 200 ms, and is ready 10 ms after the one before it."""

    name = "test"

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        at, said = 0, text.split()
        for number, word in enumerate(said):
            start = text.index(word, at)
            at = start + len(word)
            await asyncio.sleep(0.01)
            yield VoiceAudio(
                b"\1\0" * (WORD_MS * BYTES_PER_MS // 2), (), (WordCue(number * WORD_MS, start, at),)
            )

    async def warm(self) -> None: ...

    async def aclose(self) -> None: ...


class Memory:
    """A disk that takes its time."""

    def __init__(self) -> None:
        self.rows: dict[int, StoredTurn] = {}

    async def commit(self, turn: StoredTurn) -> None:
        await asyncio.sleep(0.005)
        known = self.rows.get(turn.turn)
        assert known is None or turn.revision > known.revision
        self.rows[turn.turn] = turn


class Host:
    """The engine as a turn sees it."""

    voice_files = False

    def __init__(self, memory: Memory, publish: Callable[[str], None]) -> None:
        self.memory = cast(ShortTermMemory, memory)
        self.voice = Voice()
        self._publish = publish

    async def claim_reply(self, _: str) -> ClaimState:
        return ClaimState.ACQUIRED

    async def holds_lease(self, _: int) -> bool:
        return True

    def publish(self, message: str, _: bool) -> None:
        self._publish(message)

    def add_record(self, record: TurnRecord) -> None: ...

    def drop_record(self, turn: int) -> None: ...

    def on_stored(self) -> None: ...

    def add_late_stats(self, stored: StoredTurn) -> None: ...

    def enqueue_voice_file(self, request: TtsRequest) -> None: ...

    def on_ended(self, result: TurnResult) -> None: ...


@dataclass(eq=False)
class Ear:
    """A viewer, as far as a session knows it."""

    told: list[dict[str, Any]] = field(default_factory=list)
    binary: bool = False
    dialect: str = "vtuber.v2"

    def send(self, data: str) -> None:
        self.told.append(json.loads(data))

    def send_audio(self, sound: AudioFrame) -> None:
        self.told.append(json.loads(sound.json))

    def flush(self) -> None: ...

    def new_turn(self) -> None: ...

    def chunks(self, turn: int) -> list[dict[str, Any]]:
        return [
            frame
            for frame in self.told
            if frame["type"] == "SPEECH_CHUNK" and frame["turn"] == turn
        ]

    def acks(self, turn: int) -> list[dict[str, Any]]:
        return [
            frame
            for frame in self.told
            if frame.get("action") == "STOP_ACK" and frame["turn"] == turn
        ]


class House:
    """One session at both of its ends; frames take a millisecond between them."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.session = PlaybackSession("s", self.now, self._to_engine)
        self.ear, self.memory = Ear(), Memory()
        self.session.join(cast(Viewer, self.ear))
        self.runners: list[TurnRunner] = []
        self._last_arrival = 0.0
        self.cut_at: dict[int, float] = {}
        """Where the ear of the viewers was when a turn was cut off, in ms of its audio."""

    def now(self) -> float:
        return self.loop.time() * 1000

    @property
    def running(self) -> TurnRunner | None:
        return self.runners[-1] if self.runners and not self.runners[-1].machine.over else None

    def ask(self) -> None:
        """As an engine begins a turn: what still sounds is cut off first."""
        if self.running is not None:
            self._note_cut(self.running.request.turn)
            self.running.stop("new_turn")

        async def text() -> AsyncGenerator[str, None]:
            for word in WORDS:
                await asyncio.sleep(0.03)
                yield word

        order = TurnRequest(
            "s", len(self.runners) + 1, "hi", None, FLAGS, "en", None, text, epoch=1
        )
        self.runners.append(TurnRunner(order, Host(self.memory, self._to_output)))
        self.runners[-1].callers = 1
        self.runners[-1].begin()

    def stop(self, turn: int | None) -> None:
        view = self.session.turn
        if view.playing(self.now()) and turn in (None, view.number):
            self._note_cut(view.number)
        self.session.stop(turn, "viewer")

    def report(self) -> None:
        view = self.session.turn
        if view.audio_started_at_ms is not None:
            at = max(0, int(min(view.position_ms(self.now()), view.sent_ms)))
            self.session.played(
                cast(Viewer, self.ear), Played(session_id="s", turn=view.number, offset_ms=at)
            )

    def leave(self) -> None:
        if self.running is not None:
            self.running.callers = 0
            self.running.caller_left()

    def _note_cut(self, turn: int) -> None:
        view = self.session.turn
        heard = (
            view.position_ms(self.now())
            if view.number == turn and view.audio_started_at_ms is not None
            else 0.0
        )
        self.cut_at.setdefault(turn, heard)

    def _later(self, arrive: Callable[[], None]) -> None:
        # What is due at the same moment is called in no order by asyncio; a socket keeps it.
        self._last_arrival = max(self._last_arrival + 1e-6, self.loop.time() + ON_THE_WAY_S)
        self.loop.call_at(self._last_arrival, arrive)

    def _to_output(self, frame: str) -> None:
        def arrive() -> None:
            read = TO_OUTPUT.validate_json(frame)
            assert not isinstance(read, StopResult | Heartbeat)
            self.session.on_frame(read, frame)

        self._later(arrive)

    def _to_engine(self, frame: str) -> None:
        def arrive() -> None:
            read = TO_ENGINE.validate_json(frame)
            runner = self.running
            if runner is None or getattr(read, "turn", None) not in (None, runner.request.turn):
                return
            if isinstance(read, Stop):
                runner.stop(read.reason or "viewer")
            elif isinstance(read, PlaybackControl):
                runner.set_paused(read.action)
            elif isinstance(read, Played):
                runner.report_position(read, "output-handler")

        self._later(arrive)


ACTIONS: dict[str, Callable[[House], object]] = {
    "ask": House.ask,
    "stop": lambda house: house.stop(None),
    "stop by number": lambda house: house.stop(len(house.runners) or None),
    "stop too late": lambda house: (
        house.stop(len(house.runners) - 1) if len(house.runners) > 1 else None
    ),
    "pause": lambda house: house.session.request_pause("PAUSE", None),
    "resume": lambda house: house.session.request_pause("RESUME", None),
    "report": House.report,
    "leave": House.leave,
}
STORY = st.lists(
    st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 2_500)), min_size=1, max_size=14
)


async def told(story: list[tuple[str, int]]) -> House:
    house = House()
    house.ask()
    for action, after_ms in story:
        ACTIONS[action](house)
        await asyncio.sleep(after_ms / 1000)
    # Longer than anything that was begun, and than the longest pause.
    await asyncio.sleep(60)
    house.session.close()
    return house


@settings(
    max_examples=100,
    deadline=None,
    # Without shrinking: a story takes a tenth of a second, and the ones that fail are short enough
    # to read.
    phases=[Step.explicit, Step.reuse, Step.generate],
)
@given(story=STORY)
def test_nothing_follows_a_stop_and_memory_is_what_was_heard(story: list[tuple[str, int]]) -> None:
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        house = runner.run(told(story))
    whole = "".join(WORDS)
    for turn in house.runners:
        number = turn.request.turn
        assert turn.machine.finished, "every turn comes to its end"
        assert len(turn._tasks) == 0, "and leaves no task behind"
        chunks, acks = house.ear.chunks(number), house.ear.acks(number)
        assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks))), (
            "no gap, no repetition"
        )
        assert len(acks) <= 1
        if acks:
            place = house.ear.told.index(acks[0])
            assert not any(frame in chunks for frame in house.ear.told[place:]), (
                "nothing sounds after STOP_ACK"
            )
        row = house.memory.rows.get(number)
        if row is None:
            assert not any(
                frame["type"] == "TEXT_DELTA" and frame["turn"] == number
                for frame in house.ear.told
            )
            continue
        assert whole.startswith(row.reply)
        heard = acks[0].get("heardText") if acks else whole
        assert heard == row.reply, "what viewers are told is what is remembered"
        assert row.interrupted == (row.reply != whole)
        if row.interrupted:
            begun = [
                chunk["textEnd"] for chunk in chunks if chunk["offsetMs"] <= house.cut_at[number]
            ]
            expected = len(whole[: max(begun, default=0)].split())
            assert abs(len(row.reply.split()) - expected) <= 1, "to the word"
    view = house.session.turn
    assert view.phase in (Phase.IDLE, Phase.THINKING, Phase.INTERRUPTED)
    assert house.session.idle_phase is Phase.IDLE
    states = [frame["phase"] for frame in house.ear.told if frame["type"] == "STATE"]
    assert states[-1] == "IDLE"
    for before, after in itertools.pairwise(
        frame["turn"] for frame in house.ear.told if frame.get("action") == "START"
    ):
        assert before < after
