"""In virtual time: a process is what the test says it is."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from vtuber_cli.console import Console
from vtuber_cli.processes import Processes, RunError
from vtuber_cli.restart_policy import FIRST_S, LONGEST_S, OFTEN, STEADY_S
from vtuber_cli.service_supervisor import CHECK_INTERVAL_S, WRONG_SETTINGS, ServiceSupervisor

pytestmark = pytest.mark.looptime


def now() -> float:
    return asyncio.get_running_loop().time()


async def in_time(happens: Awaitable[None]) -> None:
    """Virtual time without a deadline would not go on."""
    async with asyncio.timeout(600):
        await happens


class Service:
    """One process: it is ready `ready_after_s` after its start, and ends when the test says so."""

    def __init__(self, *, without: str = "nobody is heard") -> None:
        self.starts: list[float] = [now()]
        self.ready_after_s: float | None = 1.0
        self.lives_s: float | None = None
        self.status = 1
        self.refused: RunError | None = None
        self._ended = asyncio.Event()
        self.out = io.StringIO()
        self.supervisor = ServiceSupervisor(
            "tts",
            cast(Processes, self),
            Console(self.out, colours=False),
            self.start,
            self.ready,
            without=without,
        )

    async def start(self) -> None:
        self.starts.append(now())
        if self.refused is not None:
            raise self.refused
        self._ended.clear()

    async def ready(self) -> tuple[bool, str]:
        if self.ready_after_s is None:
            return False, "it does not answer"
        return now() - self.starts[-1] >= self.ready_after_s, "it is starting"

    def ends(self, status: int = 1) -> None:
        self.status = status
        self._ended.set()

    # What a supervisor asks of the processes.

    async def wait(self, _: str) -> int:
        if self.lives_s is not None:
            await asyncio.sleep(self.lives_s)
        else:
            await self._ended.wait()
        return self.status

    def refusal(self, _: str) -> str:
        return "tts: PORT: too high"

    def log_of(self, _: str) -> Path:
        return Path("/logs/tts.log")

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(self.supervisor.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def pauses(self) -> list[float]:
        return [after - before for before, after in pairwise(self.starts)]


async def test_it_is_ready_when_it_says_so_and_why_not_before() -> None:
    it = Service()
    assert (it.supervisor.is_ready, it.supervisor.reason) == (False, "it has not answered yet")
    async with it.supervised():
        await asyncio.sleep(0.5)
        assert (it.supervisor.is_ready, it.supervisor.reason) == (False, "it is starting")
        await in_time(it.supervisor.until_ready())
        assert now() == pytest.approx(1, abs=CHECK_INTERVAL_S)
        assert (it.supervisor.is_ready, it.supervisor.reason) == (True, "")
        await in_time(it.supervisor.settled())
    assert it.out.getvalue() == "", "a first start is nothing to tell"


async def test_one_that_ends_is_started_again_and_what_is_missing_is_said_until_it_is_back() -> (
    None
):
    it = Service()
    async with it.supervised():
        await in_time(it.supervisor.until_ready())
        it.ends(7)
        await asyncio.sleep(0.01)
        assert (it.supervisor.is_ready, it.supervisor.reason) == (False, "it ended with status 7")
        (said,) = it.out.getvalue().splitlines()
        assert said == (
            f"tts ended with status 7; restarting in {FIRST_S:.1f} s. "
            "Until then nobody is heard. Its log: /logs/tts.log"
        )
        await in_time(it.supervisor.until_ready())
        assert it.out.getvalue().splitlines()[1:] == ["tts is back."]
    assert len(it.starts) == 2


async def test_one_without_which_nothing_is_missing_says_nothing_of_it() -> None:
    it = Service(without="")
    async with it.supervised():
        it.ends()
        await asyncio.sleep(0.01)
    assert "Until then" not in it.out.getvalue()


async def test_one_that_keeps_ending_is_started_ever_more_rarely_and_not_waited_for() -> None:
    it = Service()
    it.lives_s, it.ready_after_s = 0.0, None
    async with it.supervised():
        await in_time(it.supervisor.settled())
        assert len(it.starts) == OFTEN
        await asyncio.sleep(300)
    pauses = it.pauses()
    assert pauses[:3] == pytest.approx([FIRST_S, 2 * FIRST_S, 4 * FIRST_S])
    assert pauses[-1] == pytest.approx(LONGEST_S)
    assert max(pauses) <= LONGEST_S + 0.001


async def test_one_that_was_steady_is_started_again_at_once() -> None:
    it = Service()
    it.lives_s, it.ready_after_s = 0.0, None
    async with it.supervised():
        await asyncio.sleep(120)
        it.lives_s = STEADY_S
        count = len(it.starts)
        await asyncio.sleep(200)
    assert it.pauses()[count + 1] == pytest.approx(STEADY_S + FIRST_S)


async def test_wrong_settings_end_the_run_with_the_services_own_words() -> None:
    it = Service()
    it.ready_after_s = None
    async with it.supervised() as task:
        it.ends(WRONG_SETTINGS)
        with pytest.raises(RunError, match="tts: PORT: too high"):
            await asyncio.wait_for(task, 10)
    assert len(it.starts) == 1


async def test_settings_that_it_ran_well_with_are_no_reason_to_end_the_run() -> None:
    it = Service()
    async with it.supervised() as task:
        await in_time(it.supervisor.until_ready())
        it.ends(WRONG_SETTINGS)
        await asyncio.sleep(0.01)
        await in_time(it.supervisor.until_ready())
        it.ready_after_s = None
        it.ends(WRONG_SETTINGS)
        await asyncio.sleep(5)
        assert not task.done()
    assert len(it.starts) == 3


async def test_one_that_cannot_be_started_is_tried_again_and_said() -> None:
    it = Service()
    it.refused = RunError("no memory")
    async with it.supervised() as task:
        it.ends()
        await in_time(it.supervisor.settled())
        assert len(it.starts) == OFTEN, "that it cannot be started counts as an end"
        assert "tts cannot be started (no memory); restarting in" in it.out.getvalue()
        it.refused = None
        await in_time(it.supervisor.until_ready())
        assert not task.done()
    assert it.pauses()[1:] == pytest.approx([FIRST_S * 2**n for n in range(1, len(it.starts) - 1)])


async def test_one_that_ends_while_it_is_looked_at_is_not_ready_afterwards() -> None:
    it = Service()
    async with it.supervised():
        await asyncio.sleep(0.95)
        it.ends()
        await asyncio.sleep(0.2)
        assert not it.supervisor.is_ready
        assert len(asyncio.all_tasks()) == 2, "this test and the supervisor"
