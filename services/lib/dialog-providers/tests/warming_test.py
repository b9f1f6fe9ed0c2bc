import asyncio

import pytest

from dialog_providers.provider_states import ProviderStates
from dialog_providers.warming import GRACE_S, Warming

pytestmark = pytest.mark.looptime


class Away(Exception):
    pass


class Chain:
    """Two providers; each answers from its time on."""

    name = "chain"

    def __init__(self, first_s: float, second_s: float) -> None:
        self.since = (first_s, second_s)
        self.asked: list[float] = []

    def _here(self) -> list[bool]:
        now = asyncio.get_running_loop().time()
        return [now >= since for since in self.since]

    async def warm(self) -> None:
        self.asked.append(asyncio.get_running_loop().time())
        if not any(self._here()):
            raise Away("nobody is there")

    @property
    def any_warm(self) -> bool:
        return any(self._here())

    @property
    def all_warm(self) -> bool:
        return all(self._here())


async def test_it_is_ready_when_one_answers_and_goes_on_until_all_do_with_growing_pauses() -> None:
    chain = Chain(20, 100)
    warming = Warming("voices", chain, Away)
    assert (warming.untried, warming.reason) == (True, None)
    task = asyncio.create_task(warming.run())
    await asyncio.sleep(0.5)
    assert (warming.untried, warming.reason) == (False, "nobody is there")
    await asyncio.sleep(40)
    assert warming.reason is None
    chain.since = (1000.0, 1000.0)
    await asyncio.sleep(100)
    assert warming.reason is None, "once ready, it stays so: a turn finds out by itself"
    chain.since = (0.0, 0.0)
    await task
    pauses = [later - earlier for earlier, later in zip(chain.asked, chain.asked[1:], strict=False)]
    assert [round(pause) for pause in pauses[:7]] == [1, 2, 4, 8, 16, 32, 60]


def test_states_say_who_is_in_use_and_why_not_the_ones_before() -> None:
    now = 0.0
    states = ProviderStates(
        [("openai", "gpt at host"), ("rules", "")], cool_down_s=20, clock=lambda: now
    )
    assert (states.report().in_use, states.unwarmed) == (None, [0, 1])
    states.failed(0, "openai: connection (refused)", cools=True)
    states.answered(1)
    report = states.report()
    assert (report.configured, report.in_use) == (["openai", "rules"], "rules")
    assert (report.why_not, report.about) == (
        {"openai": "openai: connection (refused)"},
        {"openai": "gpt at host"},
    )
    assert (set(states.cooling()), states.unwarmed) == ({0}, [0])
    now = 20.0
    assert not states.cooling()
    states.answered(0)
    assert (states.report().in_use, states.report().why_not) == ("openai", {})


def test_when_all_are_cold_nobody_is_left_out() -> None:
    states = ProviderStates([("a", ""), ("b", "")], cool_down_s=20, clock=lambda: 0.0)
    states.failed(0, "x", cools=True)
    assert set(states.cooling()) == {0}
    states.failed(1, "x", cools=True)
    assert not states.cooling()


async def test_one_that_hangs_keeps_the_others_waiting_for_a_moment_only() -> None:
    class Hangs(Chain):
        async def warm(self) -> None:
            await asyncio.sleep(3600)

    warming = Warming("models", Hangs(0, 1e9), Away)
    task = asyncio.create_task(warming.run())
    await asyncio.sleep(GRACE_S - 0.1)
    assert warming.untried
    await asyncio.sleep(0.2)
    assert (warming.untried, warming.reason) == (False, None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
