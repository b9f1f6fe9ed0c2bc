"""The parent's side: with processes that the test plays, in virtual time, and with the real one."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import Any, cast

import psutil
import pytest

from dialog_voice.errors import ProviderError
from dialog_voice.providers.espeak import child as child_module
from dialog_voice.providers.espeak.child import (
    _BACKOFF_LIMIT_S,
    MAX_WAIT_S,
    EspeakChild,
    SpeechFrame,
    SpeechRequest,
    _Life,
)
from dialog_voice.providers.espeak.protocol import HEADER, JSON_LIMIT, pack, unpack

HELLO = [SpeechRequest("en-us+f3", 165, 58, "Hello", 0)]
SOUND: dict[str, Any] = {"phonemes": [], "words": []}


class Stdin:
    """What was written, as frames."""

    def __init__(self) -> None:
        self.data, self.closed = b"", False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.data += data

    def close(self) -> None:
        self.closed = True

    @property
    def messages(self) -> list[dict[str, Any]]:
        found, rest = [], self.data
        while rest:
            length, _ = HEADER.unpack(rest[: HEADER.size])
            found.append(unpack(rest[HEADER.size : HEADER.size + length]))
            rest = rest[HEADER.size + length :]
        return found


class Process:
    """A child as its owner sees it; `killed` says what became of it."""

    def __init__(self) -> None:
        self.pid, self.returncode, self.killed = id(self), None, False
        self.stdin, self.stdout = Stdin(), asyncio.StreamReader()
        self.ended = asyncio.Event()

    returncode: int | None

    def kill(self) -> None:
        self.killed = True
        self.exits(-9)

    def exits(self, returncode: int = 0) -> None:
        self.returncode = returncode
        self.stdout.feed_eof()
        self.ended.set()

    async def wait(self) -> None:
        await self.ended.wait()

    def says(self, message: dict[str, Any], pcm: bytes = b"") -> None:
        self.stdout.feed_data(pack(message, pcm))

    def ready(self) -> "Process":
        self.says({"ready": 1})
        return self


class Processes:
    """Stands for the system: `begin` says what happens when a child is started."""

    def __init__(self) -> None:
        self.started: list[Process] = []
        self.times: list[float] = []
        self.begin: Callable[[Process], object] = Process.ready

    async def start(self, *_: object, **__: object) -> Process:
        self.times.append(now())
        process = Process()
        self.begin(process)
        self.started.append(process)
        return process


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    made = Processes()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", made.start)
    return made


@asynccontextmanager
async def owned(*, start_s: float = 10, stall_s: float = 5) -> AsyncIterator[EspeakChild]:
    child = EspeakChild("espeak", start_timeout_s=start_s, stall_timeout_s=stall_s)
    try:
        yield child
    finally:
        await child.aclose()


def now() -> float:
    return asyncio.get_running_loop().time()


async def spoken(child: EspeakChild) -> list[SpeechFrame]:
    return [frame async for frame in child.speak(HELLO, lead_ms=15, tail_ms=140)]


async def reason_of(asked: "asyncio.Task[Any]") -> str:
    with pytest.raises(ProviderError) as caught:
        await asked
    return caught.value.reason


@pytest.mark.looptime
async def test_a_request_is_sent_as_it_was_asked_and_its_frames_come_in_order(
    processes: Processes,
) -> None:
    async with owned() as child:
        asked = asyncio.create_task(spoken(child))
        await asyncio.sleep(0.1)
        (process,) = processes.started
        (message,) = process.stdin.messages
        number = message["id"]
        assert message == {
            "op": "speak",
            "id": number,
            "parts": [["en-us+f3", 165, 58, "Hello", 0]],
            "lead": 15,
            "tail": 140,
        }
        process.says({"id": number, "phonemes": [[0.0, "h"]], "words": [[0.0, 0, 5]]}, b"\1\0")
        process.says({"id": number, **SOUND}, b"\2\0")
        process.says({"id": number, "end": "done"})
        assert await asked == [
            SpeechFrame(b"\1\0", [[0.0, "h"]], [[0.0, 0, 5]]),  # type: ignore[list-item]  # as JSON has them
            SpeechFrame(b"\2\0", [], []),
        ]
        assert len(process.stdin.messages) == 1, "what has ended needs no cancel"


@pytest.mark.looptime
async def test_each_request_gets_its_own_frames(processes: Processes) -> None:
    async with owned() as child:
        asked = [asyncio.create_task(spoken(child)) for _ in range(3)]
        await asyncio.sleep(0.1)
        (process,) = processes.started
        numbers = [message["id"] for message in process.stdin.messages]
        assert len(set(numbers)) == 3
        for number in (*numbers, 999, *reversed(numbers)):
            process.says({"id": number, **SOUND}, bytes([number % 256, 0]))
        for number in reversed(numbers):
            process.says({"id": number, "end": "done"})
        for number, frames in zip(numbers, await asyncio.gather(*asked), strict=True):
            assert [frame.pcm for frame in frames] == [bytes([number, 0])] * 2


@pytest.mark.looptime
async def test_who_leaves_early_cancels_his_request_and_no_other(processes: Processes) -> None:
    async with owned() as child:
        other = asyncio.create_task(spoken(child))
        await asyncio.sleep(0.1)
        (process,) = processes.started
        async with aclosing(child.speak(HELLO, lead_ms=0, tail_ms=0)) as frames:
            first = asyncio.ensure_future(anext(frames))
            await asyncio.sleep(0.1)
            mine = process.stdin.messages[-1]["id"]
            process.says({"id": mine, **SOUND}, b"\1\0")
            await first
        assert process.stdin.messages[-1] == {"op": "cancel", "id": mine}
        process.says({"id": mine, **SOUND}, b"\2\0")
        process.says({"id": mine, "end": "cancelled"})
        process.says({"id": process.stdin.messages[0]["id"], "end": "done"})
        assert await other == []


@pytest.mark.looptime
async def test_a_cancelled_task_cancels_its_request(processes: Processes) -> None:
    async with owned() as child:
        asked = asyncio.create_task(spoken(child))
        await asyncio.sleep(0.1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        speak, cancel = processes.started[0].stdin.messages
        assert cancel == {"op": "cancel", "id": speak["id"]}


@pytest.mark.looptime
async def test_a_request_that_the_child_cannot_speak_is_a_bad_one(processes: Processes) -> None:
    async with owned() as child:
        asked = asyncio.create_task(spoken(child))
        await asyncio.sleep(0.1)
        (process,) = processes.started
        number = process.stdin.messages[0]["id"]
        process.says({"id": number, "end": "failed", "detail": "no voice xx"})
        with pytest.raises(ProviderError, match="no voice xx") as caught:
            await asked
        assert caught.value.reason == "bad_request"
        assert (child.restarts, process.killed) == (0, False)


@pytest.mark.looptime
async def test_a_child_that_ends_fails_all_that_wait_and_the_next_one_serves(
    processes: Processes,
) -> None:
    async with owned() as child:
        asked = [asyncio.create_task(spoken(child)) for _ in range(3)]
        await asyncio.sleep(0.1)
        first = processes.started[0]
        assert child.pid == first.pid
        first.exits(1)
        assert [await reason_of(one) for one in asked] == ["crashed"] * 3
        again = asyncio.create_task(spoken(child))
        await asyncio.sleep(1)
        second = processes.started[1]
        assert (child.pid, child.restarts) == (second.pid, 1)
        assert first.stdin.closed
        assert [message["op"] for message in second.stdin.messages] == ["speak"]
        second.says({"id": second.stdin.messages[0]["id"], "end": "done"})
        assert await again == []


@pytest.mark.looptime
async def test_a_request_of_a_child_that_ended_is_not_cancelled_at_the_next_one(
    processes: Processes,
) -> None:
    async with owned() as child:
        frames = child.speak(HELLO, lead_ms=0, tail_ms=0)
        first = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0.1)
        process = processes.started[0]
        process.says({"id": process.stdin.messages[0]["id"], **SOUND}, b"\1\0")
        await first
        process.exits(1)
        await asyncio.sleep(1)
        assert len(processes.started) == 2
        await frames.aclose()
        assert processes.started[1].stdin.messages == []


@pytest.mark.looptime
@pytest.mark.parametrize(
    "data",
    [
        b"Traceback (most recent call last):\n",
        HEADER.pack(JSON_LIMIT + 1, 0),
        HEADER.pack(1, 0) + b"[",
        pack({"no": "id"}),
        HEADER.pack(2, 0) + b"[]",
    ],
)
async def test_a_child_that_is_out_of_step_is_killed_and_replaced(
    processes: Processes, data: bytes
) -> None:
    async with owned() as child:
        asked = asyncio.create_task(spoken(child))
        await asyncio.sleep(0.1)
        process = processes.started[0]
        process.stdout.feed_data(data)
        assert await reason_of(asked) == "crashed"
        assert process.killed
        await child.started()
        assert len(processes.started) == 2


@pytest.mark.looptime
async def test_a_child_that_is_not_ready_in_time_is_not_started(processes: Processes) -> None:
    processes.begin = lambda _: None
    async with owned(start_s=3) as child:
        began = now()
        waiting = [asyncio.create_task(spoken(child)) for _ in range(2)]
        assert [await reason_of(one) for one in waiting] == ["not_started"] * 2
        assert now() - began == pytest.approx(3)
        assert len(processes.started) == 1, "one child for all"
        processes.started[0].ready()
        await child.started()


@pytest.mark.looptime
async def test_a_child_that_ends_at_once_is_started_ever_more_rarely(processes: Processes) -> None:
    processes.begin = Process.exits
    async with owned(start_s=30) as child:
        with pytest.raises(ProviderError):
            await child.started()
    pauses = [after - before for before, after in pairwise(processes.times)]
    assert pauses[:4] == pytest.approx([0.05, 0.1, 0.2, 0.4], abs=0.001)
    assert all(after >= before - 0.001 for before, after in pairwise(pauses))
    assert pauses[-1] == pytest.approx(_BACKOFF_LIMIT_S)
    assert child.restarts >= 10


@pytest.mark.looptime
async def test_a_child_that_lived_is_replaced_at_once(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "_STABLE_S", -1)
    async with owned() as child:
        for count in range(5):
            await child.started()
            began = now()
            processes.started[count].exits(1)
            await asyncio.sleep(0.001)
            await child.started()
            assert now() - began < 0.01


@pytest.mark.looptime
async def test_a_system_that_starts_no_process_is_asked_again(processes: Processes) -> None:
    def fails(process: Process) -> None:
        if len(processes.times) < 3:
            raise OSError("no more processes")
        process.ready()

    processes.begin = fails
    async with owned(start_s=30) as child:
        await child.started()
        assert processes.times == pytest.approx([0, _BACKOFF_LIMIT_S, 2 * _BACKOFF_LIMIT_S])
        assert child.restarts == 0, "there was none to replace"


@pytest.mark.looptime
async def test_closing_ends_the_child_and_those_who_wait_and_may_be_undone(
    processes: Processes,
) -> None:
    async with owned() as child:
        await child.aclose()
        asked = asyncio.create_task(spoken(child))
        await asyncio.sleep(0.1)
        await child.aclose()
        assert await reason_of(asked) == "crashed"
        (process,) = processes.started
        assert process.killed
        assert child.pid is None
        await asyncio.sleep(60)
        assert len(processes.started) == 1
        await child.started()
        assert len(processes.started) == 2


def waiting(
    stall_timeout_s: float = 5,
) -> tuple[EspeakChild, _Life, "asyncio.Queue[tuple[dict[str, Any], bytes]]"]:
    child = EspeakChild("espeak", start_timeout_s=1, stall_timeout_s=stall_timeout_s)
    return child, _Life(cast(asyncio.subprocess.Process, Process())), asyncio.Queue()


async def speaks(life: _Life, seconds: float) -> None:
    """For others."""
    until = now() + seconds
    while now() < until:
        await asyncio.sleep(1)
        life.last_answer_at = now()


@pytest.mark.looptime
async def test_who_waits_behind_others_does_not_take_the_child_for_one_that_hangs() -> None:
    """Before.

    A flood of turns made the last of them wait for longer than a stall, and the child was killed
    for everybody.
    """
    child, life, answers = waiting()
    asyncio.get_running_loop().call_later(15, answers.put_nowait, ({"end": "done"}, b""))
    speaking = asyncio.create_task(speaks(life, 60))
    assert await child._answer(life, answers) == ({"end": "done"}, b"")
    began = now()
    with pytest.raises(ProviderError, match="busy"):
        await child._answer(life, answers)
    assert now() - began == pytest.approx(MAX_WAIT_S, abs=1)
    assert not cast(Process, life.process).killed
    speaking.cancel()


@pytest.mark.looptime
async def test_a_child_that_says_nothing_to_anybody_hangs() -> None:
    child, life, answers = waiting()
    speaking = asyncio.create_task(speaks(life, 7))
    began = now()
    with pytest.raises(ProviderError, match="stalled"):
        await child._answer(life, answers)
    assert 12 <= now() - began < 13
    assert cast(Process, life.process).killed
    await speaking


@pytest.mark.looptime
async def test_an_answer_that_was_not_read_in_time_because_we_stood_still_counts() -> None:
    child, life, answers = waiting()
    loop = asyncio.get_running_loop()
    # It is read after the deadline has passed, as when both were due at once.
    loop.call_later(5.05, answers.put_nowait, ({"end": "done"}, b""))
    assert await child._answer(life, answers) == ({"end": "done"}, b"")
    assert not cast(Process, life.process).killed


async def test_its_child_knows_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with owned() as child:
        await child.started()
        assert psutil.Process(child.pid).environ() == {}


async def test_its_child_finds_what_its_parent_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the images our packages are where PYTHONPATH says, which the child does not have."""
    # A Python that knows nothing of this environment's packages.
    monkeypatch.setattr(sys, "executable", sys._base_executable)  # type: ignore[attr-defined]
    async with owned() as child:
        assert sum(len(frame.pcm) for frame in await spoken(child)) > 1_000


async def test_a_real_child_that_is_killed_is_followed_by_another_and_none_is_left() -> None:
    async with owned() as child:
        await child.started()
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(20):
            while child.pid in (first, None):
                await asyncio.sleep(0.005)
        assert await spoken(child)
        second = child.pid
        assert second is not None
    assert not psutil.pid_exists(first)
    assert not psutil.pid_exists(second)
