"""Leases of sessions, in a real Valkey: one owner at a time, and an epoch that only grows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis as blocking
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from dialog_contracts import redis_names
from dialog_engine.errors import Draining, NotLeaseHolder
from dialog_engine.sessions import leases
from dialog_engine.sessions.leases import SessionLeases
from dialog_redis.active_playback import ActivePlayback
from dialog_redis.client import RedisClient, RedisUnavailable

SESSION = "live-001"


class Lost(list[str]):
    def __call__(self, session_id: str) -> None:
        self.append(session_id)


@pytest.fixture(autouse=True)
def long_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """None runs out because a machine stood still."""
    monkeypatch.setattr(leases, "LEASE_TTL_S", 60)
    monkeypatch.setattr(leases, "RENEW_INTERVAL_S", 0.05)


@pytest.fixture
def short_leases(long_leases: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_TTL_S", 0.2)


@pytest.fixture
async def stalled() -> AsyncIterator[RedisClient]:
    """A server that takes connections and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    link = RedisClient(f"redis://127.0.0.1:{silent.sockets[0].getsockname()[1]}/0")
    yield link
    await link.aclose()
    silent.close()
    await silent.wait_closed()
    await asyncio.sleep(0.05)


def engine(link: RedisClient, ordinal: int, *, shared: bool = True) -> SessionLeases:
    return SessionLeases(link, ordinal=ordinal, shared=shared)


async def test_a_session_has_one_owner_and_the_other_says_who_it_is(link: RedisClient) -> None:
    first, second = engine(link, 0), engine(link, 1)
    epoch = await first.acquire(SESSION)
    with pytest.raises(NotLeaseHolder) as refused:
        await second.acquire(SESSION)
    assert (refused.value.status, refused.value.body.code, refused.value.body.owner) == (
        421,
        "not_owner",
        0,
    )
    assert await first.acquire(SESSION) == epoch


async def test_a_session_that_was_given_back_is_taken_at_once_in_a_later_epoch(
    link: RedisClient,
) -> None:
    first, second = engine(link, 0), engine(link, 1)
    epoch = await first.acquire(SESSION)
    await first.release(SESSION)
    assert await second.acquire(SESSION) > epoch
    assert not await first.holds(SESSION, epoch), "what it still had to store is not stored"


async def test_a_turn_that_is_still_spoken_is_told_when_its_session_is_given_back(
    link: RedisClient,
) -> None:
    first, sounds = engine(link, 0), ActivePlayback(link)
    await first.acquire(SESSION)
    await first.release(SESSION)
    assert await sounds.current(SESSION) == 0
    await first.acquire(SESSION)
    await first.release(SESSION, playing_turn=7)
    assert await sounds.current(SESSION) == 7
    await first.playback_finished(SESSION, 7)
    assert await sounds.current(SESSION) == 0


@pytest.mark.usefixtures("short_leases")
async def test_a_session_of_an_engine_that_died_is_taken_when_its_lease_has_run_out(
    link: RedisClient,
) -> None:
    dead, second = engine(link, 0), engine(link, 1)
    epoch = await dead.acquire(SESSION)
    await asyncio.sleep(0.25)
    assert await second.acquire(SESSION) > epoch


async def test_the_next_process_of_an_engine_takes_over_at_once(link: RedisClient) -> None:
    before, after = engine(link, 0), engine(link, 0)
    epoch = await before.acquire(SESSION)
    assert await after.acquire(SESSION) > epoch


async def test_a_lease_is_kept_while_it_is_used_and_given_back_later(
    link: RedisClient, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_TTL_S", 1.5)
    monkeypatch.setattr(leases, "IDLE_RELEASE_S", 0.4)
    first, second, used = engine(link, 0), engine(link, 1), True
    epoch = await first.acquire(SESSION)
    keeping = asyncio.create_task(first.renew_forever(lambda _: used, Lost()))
    await asyncio.sleep(2)
    with pytest.raises(NotLeaseHolder):
        await second.acquire(SESSION)
    assert await first.acquire(SESSION) == epoch
    used = False
    async with asyncio.timeout(3):
        while first.session_ids:
            await asyncio.sleep(0.02)
    assert await second.acquire(SESSION) > epoch
    keeping.cancel()


@pytest.mark.usefixtures("short_leases")
async def test_a_sleeper_that_wakes_up_learns_that_it_lost_the_session(
    link: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Lost()
    sleeper, second = engine(link, 0), engine(link, 1)
    epoch = await sleeper.acquire(SESSION)
    await asyncio.sleep(0.25)
    monkeypatch.setattr(leases, "LEASE_TTL_S", 60)
    await second.acquire(SESSION)
    assert not await sleeper.holds(SESSION, epoch)
    keeping = asyncio.create_task(sleeper.renew_forever(lambda _: True, lost))
    async with asyncio.timeout(3):
        while not lost:
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert lost == [SESSION]
    with pytest.raises(NotLeaseHolder):
        await sleeper.acquire(SESSION)


@pytest.mark.usefixtures("short_leases")
async def test_one_that_slept_and_that_nobody_replaced_goes_on_in_its_epoch(
    link: RedisClient,
) -> None:
    sleeper = engine(link, 0)
    epoch = await sleeper.acquire(SESSION)
    await asyncio.sleep(0.25)
    assert await sleeper.holds(SESSION, epoch)
    assert await sleeper.acquire(SESSION) == epoch


async def test_an_engine_that_ends_begins_nothing(link: RedisClient) -> None:
    leaving = engine(link, 0)
    leaving.draining = True
    with pytest.raises(Draining) as refused:
        await leaving.acquire(SESSION)
    assert (refused.value.status, refused.value.body.code) == (503, "draining")


async def test_with_redis_silent_an_engine_goes_on(no_link: RedisClient) -> None:
    alone = engine(no_link, 0)
    epoch = await alone.acquire(SESSION)
    assert epoch > 0
    assert await alone.holds(SESSION, epoch)
    await alone.release(SESSION)


async def test_an_only_engine_does_not_ask_redis_and_is_later_than_the_process_before_it(
    no_link: RedisClient,
) -> None:
    before = await engine(no_link, 0, shared=False).acquire(SESSION)
    await asyncio.sleep(0.002)
    after = engine(no_link, 0, shared=False)
    assert await after.acquire(SESSION) == await after.acquire("another") > before
    assert no_link.unavailable_reason is None
    assert after.session_ids == []


async def test_a_redis_that_stands_still_costs_a_turn_less_than_its_caller_waits(
    stalled: RedisClient,
) -> None:
    only, clock, took = engine(stalled, 0), asyncio.get_running_loop().time, []
    for _ in range(4):
        began = clock()
        assert await only.acquire(SESSION) > 0
        took.append(clock() - began)
    # The shortest of them: the machine may stand still as well.
    assert min(took) < leases.ACQUIRE_TIMEOUT_S + 0.1


async def test_an_engine_whose_redis_failed_a_moment_ago_still_learns_whose_a_session_is(
    link: RedisClient,
) -> None:
    async def fails(_: "Redis") -> None:
        raise RedisConnectionError("reset")

    await engine(link, 1).acquire(SESSION)
    with pytest.raises(RedisUnavailable):
        await link.call("history", fails)
    with pytest.raises(NotLeaseHolder):
        await engine(link, 0).acquire(SESSION)


async def test_what_was_begun_while_redis_was_late_is_never_of_a_later_epoch_than_what_follows(
    link: RedisClient, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease was given, and its answer came too late.

    What viewers were told by the engine's own clock is the later one.
    """
    late, lost = engine(link, 0), Lost()

    async def too_late(
        purpose: str, work: Callable[[Redis], Awaitable[object]], within_s: float
    ) -> object:
        await work(link.client)
        raise RedisUnavailable(purpose, "late")

    with monkeypatch.context() as patched:
        patched.setattr(link, "call_within", too_late)
        await asyncio.sleep(0.01)
        told = [await late.acquire(SESSION) for _ in range(3)]
    assert told[0] == told[1] == told[2], "one epoch, until Redis has given another"
    after = await late.acquire(SESSION)
    assert after >= told[-1]
    assert await late.holds(SESSION, after)
    with monkeypatch.context() as patched:
        patched.setattr(link, "call_within", too_late)
        await late.release(SESSION)
        told = [await late.acquire(SESSION)]
    keeping = asyncio.create_task(late.renew_forever(lambda _: True, lost))
    await asyncio.sleep(0.15)
    keeping.cancel()
    assert lost == []
    assert await late.acquire(SESSION) == told[0], "and then it is certain"


async def test_a_lease_of_another_engine_is_not_taken_by_renewing_one_that_redis_never_gave(
    link: RedisClient,
) -> None:
    owner, lost = engine(link, 1), Lost()
    uncertain = engine(link, 0)
    await owner.acquire(SESSION)
    await asyncio.sleep(0.01)
    uncertain._leases[SESSION] = leases._Lease(int(time.time() * 1000), 0, time.monotonic())
    keeping = asyncio.create_task(uncertain.renew_forever(lambda _: True, lost))
    async with asyncio.timeout(2):
        while not lost:
            await asyncio.sleep(0.01)
    keeping.cancel()
    with pytest.raises(NotLeaseHolder):
        await uncertain.acquire(SESSION)


async def test_a_redis_that_comes_back_empty_takes_nobodys_session(
    link: RedisClient, redis: "Redis"
) -> None:
    lost = Lost()
    first, second = engine(link, 0), engine(link, 1)
    epoch = await first.acquire(SESSION)
    await redis.flushall()
    keeping = asyncio.create_task(first.renew_forever(lambda _: True, lost))
    await asyncio.sleep(0.15)
    with pytest.raises(NotLeaseHolder):
        await second.acquire(SESSION)
    assert lost == []
    assert await first.acquire(SESSION) == epoch
    keeping.cancel()


async def test_a_session_in_use_for_longer_than_a_day_is_still_its_owners(
    link: RedisClient, redis: "Redis"
) -> None:
    first = engine(link, 0)
    await first.acquire(SESSION)
    await redis.expire(redis_names.session_lease(SESSION), 60)
    keeping = asyncio.create_task(first.renew_forever(lambda _: True, Lost()))
    async with asyncio.timeout(3):
        while await redis.ttl(redis_names.session_lease(SESSION)) <= 60:
            await asyncio.sleep(0.02)
    keeping.cancel()


class Leases(RuleBasedStateMachine):
    """Three engines' scripts, in any order, with leases that run out."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.redis = blocking.Redis.from_url(self.url, decode_responses=True)
        self.redis.flushall()
        self.epochs: dict[int, int] = {}
        self.highest = 0

    def teardown(self) -> None:
        self.redis.close()

    def _till(self) -> int:
        return int(str(self.redis.hget(redis_names.session_lease(SESSION), "till") or 0))

    def _owner(self) -> int | None:
        found = self.redis.hget(redis_names.session_lease(SESSION), "ordinal")
        return None if found is None else int(str(found))

    @rule(engine=sampled_from([0, 1, 2]))
    def own(self, engine: int) -> None:
        owner, known = self._owner(), self.epochs.get(engine, 0)
        free = owner in (None, engine) or self._till() <= self._now()
        told: list[int] = self.redis.eval(
            leases._ACQUIRE,
            1,
            redis_names.session_lease(SESSION),
            str(engine),
            f"p-{engine}",
            "60000",
            str(known),
        )
        assert (told[0] == engine) == free
        if free:
            assert told[1] >= max(known, self.highest)
            assert owner == engine or told[1] > self.highest, (
                "a new owner's epoch is later than all before it"
            )
            self.epochs[engine] = self.highest = told[1]

    @rule(engine=sampled_from([0, 1, 2]))
    def own_while_redis_is_silent(self, engine: int) -> None:
        self.epochs[engine] = self.epochs.get(engine) or self._now()

    @rule(engine=sampled_from([0, 1, 2]), ms=sampled_from(["0", "60000"]))
    def prolong(self, engine: int, ms: str) -> None:
        if engine not in self.epochs:
            return
        owner, epoch = self._owner(), self.epochs[engine]
        free = owner is None or self._till() <= self._now()
        lost = self.redis.eval(
            leases._RENEW,
            1,
            redis_names.session_lease(SESSION),
            str(engine),
            f"p-{engine}",
            ms,
            str(epoch),
        )
        assert lost == ([] if owner == engine or (free and epoch >= self.highest) else [1])
        if not lost:
            self.highest = epoch

    def _now(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    @rule()
    def redis_comes_back_empty(self) -> None:
        self.redis.flushall()
        self.highest = 0

    @invariant()
    def the_last_epoch_is_kept(self) -> None:
        assert (
            int(str(self.redis.hget(redis_names.session_lease(SESSION), "epoch") or 0))
            == self.highest
        )


def test_whatever_happens_epochs_only_grow_and_a_lease_is_respected(url: str) -> None:
    class Here(Leases):
        pass

    Here.url = url
    run_state_machine_as_test(Here, settings=settings(max_examples=40, stateful_step_count=25))
