"""Engines, Redis and workers in one thread, moved by a list of actions from a seed.

What is real: the SQL of the outbox, the relay, the consumer, and the analytics store. What is not:
the disk (a crash keeps exactly the committed state), Redis (`streams.py`) and time.

After the actions everything is repaired and runs until nothing is left to do. Then:

- acknowledged ⊆ durable: every turn whose commit returned is in its engine's database;
- effects = set(durable): the store has exactly the durable turns, each with its last revision;
- each event was applied exactly once per consumer store;
- events of a session were first added to the stream in the order in which they were stored.
"""

import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any, Final, TypeVar

import apsw

from async_workers.analytics.store import apply_event
from dialog_contracts import redis_names
from dialog_contracts.outbox import OutboxEvent
from dialog_engine.ltm_outbox import OutboxRelay
from dialog_engine.memory_shortterm import ShortTermMemory
from dialog_engine.outbox.store import OutboxStore
from dialog_engine.stored_turn import StoredTurn
from dialog_redis.client import RedisUnavailable
from dialog_redis.event_streams.consumer import EventConsumer
from dialog_redis.event_streams.entry import Applied, Entry
from e2e.event_simulation.streams import InMemoryGroup, InMemoryPublisher, InMemoryRedis

T = TypeVar("T")
STREAM: Final = redis_names.EVENTS_ANALYTICS
CLAIM_AFTER_S: Final = 5.0
ACTIONS: Final = (
    "turn", "turn", "turn", "turn", "interrupt", "relay", "relay", "relay", "worker", "worker",
    "worker", "take_over", "trim", "crash_engine", "crash_relay", "crash_worker", "redis_down",
    "redis_up", "redis_restart", "redis_restart", "redis_save", "redis_save", "redis_full", "lost_answer", "drain",
    "scale_down", "scale_up", "clock_back", "wait", "wait",
)  # fmt: skip


class Crash(BaseException):
    """The process ends here."""


class CommittedDatabase:
    """`dialog_sqlite.Database` without its thread: one connection in memory.

    `fault` is called before and after the commit, and may raise Crash.
    """

    failing = None

    def __init__(self, package: str, folder: str, fault: Callable[[str], None]) -> None:
        self._db = apsw.Connection(":memory:")
        for file in sorted(
            (resources.files(package) / folder).iterdir(), key=lambda entry: entry.name
        ):
            if file.name.endswith(".sql"):
                self._db.execute(file.read_text(encoding="utf-8"))
        self._fault = fault

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        self._db.execute("BEGIN")
        try:
            value = work(self._db)
            self._fault("before_commit")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        self._fault("after_commit")
        return value

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        return work(self._db)


@dataclass(slots=True)
class Engine:
    """One engine: its database survives, the rest is made anew after a crash."""

    ordinal: int
    database: CommittedDatabase
    memory: ShortTermMemory
    store: OutboxStore
    relay: OutboxRelay
    on: bool = True


@dataclass(slots=True)
class Worker:
    """One worker process."""

    name: str
    consumer: EventConsumer
    resumed: bool = False


class World:
    """The whole system of one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 1_790_000_000.0
        self.wall_offset = 0.0
        self.redis = InMemoryRedis(self.wall)
        self.crash_at: str | None = None
        self.engines = [self._engine(ordinal) for ordinal in range(2)]
        self.effects = CommittedDatabase("async_workers", "analytics/migrations", self._fault)
        self.workers = [self._new_worker(f"worker-{number}") for number in range(2)]
        self.turns: dict[str, int] = {}
        self.attempted: dict[tuple[str, int], StoredTurn] = {}
        self.acknowledged: set[tuple[str, int]] = set()
        self.applied_order: dict[str, list[int]] = {}
        self.log: list[str] = []

    def wall(self) -> float:
        """Unix seconds, as processes see them."""
        return self.now + self.wall_offset

    def run(self, actions: int) -> None:
        """Take a number of actions, repair everything, and check the promises."""
        for _ in range(actions):
            name = self.chance.choice(ACTIONS)
            self.log.append(name)
            self.now += self.chance.random() * 0.2
            getattr(self, f"_{name}")()
        self._settle()
        self._check()

    # What happens.

    def _turn(self) -> None:
        engine = self.engines[self.chance.randrange(2)]
        if not engine.on:
            return
        session = f"s{engine.ordinal}{self.chance.randrange(3)}"
        number = self.turns[session] = self.turns.get(session, 0) + 1
        turn = StoredTurn(
            session,
            number,
            f"question {number}",
            f"answer {number}",
            int(self.wall()),
            events=True,
            epoch=1,
        )
        self._commit(engine, turn)

    def _interrupt(self) -> None:
        known = sorted(self.acknowledged)
        if not known:
            return
        session, number = known[-self.chance.randrange(1, min(4, len(known)) + 1)]
        turn = self.attempted[session, number]
        engine = self.engines[int(session[1])]
        if engine.on and not turn.revision:
            self._commit(
                engine, replace(turn, reply="ans", interrupted=True, revision=1, ts=turn.ts + 1)
            )

    def _commit(self, engine: Engine, turn: StoredTurn) -> None:
        before = self.attempted.get((turn.session_id, turn.turn))
        if self.chance.random() < 0.05:
            self.crash_at = self.chance.choice(("before_commit", "after_commit"))
        try:
            self._do(engine.memory.commit(turn))
        except Crash:
            self._restart_engine(engine)
            stored = self._do(engine.memory.find(turn.session_id, turn.turn))
            if stored is not None:
                self.attempted[turn.session_id, turn.turn] = (
                    turn if stored.revision == turn.revision else before or turn
                )
            return
        finally:
            self.crash_at = None
        self.attempted[turn.session_id, turn.turn] = turn
        self.acknowledged.add((turn.session_id, turn.turn))

    def _relay(self) -> None:
        engine = self.engines[self.chance.randrange(2)]
        if engine.on:
            self._step(engine)

    def _step(self, engine: Engine) -> int:
        try:
            return self._do(engine.relay.step()) + self._do(engine.relay.check_streams((STREAM,)))
        except RedisUnavailable:
            return 0
        except Crash:
            self._restart_engine(engine)
            return 1

    def _worker_step(self, worker: Worker) -> bool:
        try:
            if not worker.resumed:
                self._do(worker.consumer.resume())
                worker.resumed = True
            return self._do(worker.consumer.step())
        except RedisUnavailable:
            worker.resumed = False
            return False
        except Crash:
            self._restart_worker(worker)
            return True

    def _worker(self) -> None:
        self._worker_step(self.workers[self.chance.randrange(2)])

    def _new_worker(self, name: str) -> Worker:
        group = InMemoryGroup(self.redis, STREAM, name, lambda: self.now)
        consumer = EventConsumer(
            group, self._apply, claim_after_s=CLAIM_AFTER_S, clock=lambda: self.now
        )
        return Worker(name, consumer)

    async def _apply(self, entries: Sequence[Entry]) -> list[Applied]:
        events = [OutboxEvent.from_json(entry.fields["payload"]) for entry in entries]

        def work(db: apsw.Connection) -> list[OutboxEvent]:
            return [event for event in events if apply_event(db, event, int(self.now))]

        new = await self.effects.write(work)
        for event in new:
            if event.type.value == "AnalyticsChatStats":
                self.applied_order.setdefault(event.session_id, []).append(event.turn)
        return [Applied() for _ in entries]

    def _take_over(self) -> None:
        worker = self.workers[self.chance.randrange(2)]
        try:
            self._do(worker.consumer.take_over())
        except RedisUnavailable:
            worker.resumed = False

    def _trim(self) -> None:
        worker = self.workers[self.chance.randrange(2)]
        try:
            self._do(worker.consumer._group.maintain())
        except RedisUnavailable:
            worker.resumed = False

    def _crash_engine(self) -> None:
        self._restart_engine(self.engines[self.chance.randrange(2)])

    def _crash_relay(self) -> None:
        engine = self.engines[self.chance.randrange(2)]
        if engine.on:
            self.crash_at = self.chance.choice(("before_commit", "after_commit"))
            try:
                self._step(engine)
            finally:
                self.crash_at = None

    def _crash_worker(self) -> None:
        worker = self.workers[self.chance.randrange(2)]
        self.crash_at = self.chance.choice(("before_commit", "after_commit"))
        try:
            self._worker_step(worker)
        finally:
            self.crash_at = None

    def _redis_down(self) -> None:
        self.redis.up = False

    def _redis_up(self) -> None:
        self.redis.up = True
        self.redis.full = False

    def _redis_restart(self) -> None:
        self.redis.restart(self.chance.randrange(4))

    def _redis_save(self) -> None:
        self.redis.save()

    def _redis_full(self) -> None:
        self.redis.full = True

    def _lost_answer(self) -> None:
        self.redis.fail_after = self.chance.randrange(1, 4)

    def _drain(self) -> None:
        engine = self.engines[self.chance.randrange(2)]
        while engine.on and self._step(engine):
            continue

    def _scale_down(self) -> None:
        self.engines[1].on = False

    def _scale_up(self) -> None:
        if not self.engines[1].on:
            self._restart_engine(self.engines[1])

    def _clock_back(self) -> None:
        self.wall_offset -= self.chance.random() * 4_000

    def _wait(self) -> None:
        self.now += self.chance.random() * 2 * CLAIM_AFTER_S

    # How it ends.

    def _settle(self) -> None:
        self.redis.up, self.redis.full, self.redis.fail_after = True, False, None
        for engine in self.engines:
            self._restart_engine(engine)
        for _ in range(200):
            busy = sum(self._step(engine) for engine in self.engines)
            for worker in self.workers:
                while self._worker_step(worker):
                    busy += 1
                busy += self._do(worker.consumer.take_over())
            self.now += CLAIM_AFTER_S
            left = sum(self._do(engine.store.backlog()).waiting for engine in self.engines)
            if not busy and not left and not self.redis.streams[STREAM].pending:
                return
        raise AssertionError("the system does not come to rest")

    def _check(self) -> None:
        durable: dict[tuple[str, int], StoredTurn] = {}
        for engine in self.engines:
            for session, last in self.turns.items():
                if session[1] != str(engine.ordinal):
                    continue
                for number in range(1, last + 1):
                    stored = self._do(engine.memory.find(session, number))
                    if stored is not None:
                        durable[session, number] = stored
        assert self.acknowledged <= set(durable), "an acknowledged turn is lost"
        rows = self._do(
            self.effects.read(
                lambda db: list(
                    db.execute("SELECT sessionId, turn, revision, interrupted, counted FROM turns")
                )
            )
        )
        effects = {(str(row[0]), int(str(row[1]))): row[2:] for row in rows}
        expected = {key: (turn.revision, int(turn.interrupted), 1) for key, turn in durable.items()}
        assert effects == expected, "effects are not what is durable"
        for session, order in self.applied_order.items():
            assert len(order) == len(set(order)), f"a turn of {session} was counted twice"
        query = "SELECT sessionId, eventId FROM outbox_events WHERE stream = ? ORDER BY id"
        for engine in self.engines:
            in_order: dict[str, list[str]] = {}
            for session, event in self._do(
                engine.database.read(lambda db: list(db.execute(query, (STREAM,))))
            ):
                in_order.setdefault(str(session), []).append(str(event))
            for session, events in in_order.items():
                assert self.redis.first_added[STREAM, session] == events, (
                    f"{session} is out of order"
                )

    # Helpers.

    def _engine(self, ordinal: int) -> Engine:
        database: Any = CommittedDatabase("dialog_engine", "migrations", self._fault)
        engine = Engine(
            ordinal,
            database,
            ShortTermMemory(database, clock=self.wall),
            OutboxStore(database),
            self._new_relay(OutboxStore(database)),
        )
        return engine

    def _new_relay(self, store: OutboxStore) -> OutboxRelay:
        return OutboxRelay(
            store,
            InMemoryPublisher(self.redis),
            clock=self.wall,
            jitter=lambda low, high: self.chance.uniform(low, high),
        )

    def _restart_engine(self, engine: Engine) -> None:
        engine.relay, engine.on = self._new_relay(engine.store), True

    def _restart_worker(self, worker: Worker) -> None:
        # The same name half of the time: a pod of a StatefulSet, or one of a Deployment.
        name = worker.name
        if self.chance.random() < 0.5:
            name = f"{worker.name.split('/')[0]}/{self.chance.randrange(10**6)}"
        fresh = self._new_worker(name)
        worker.name, worker.consumer, worker.resumed = fresh.name, fresh.consumer, False

    def _fault(self, point: str) -> None:
        if self.crash_at == point:
            self.crash_at = None
            raise Crash(point)

    @staticmethod
    def _do(work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that never waits for anything outside."""
        try:
            while True:
                work.send(None)
        except StopIteration as finished:
            value: T = finished.value
            return value


def run_seed(seed: int, actions: int = 60) -> World:
    """Run one seed; raises AssertionError with the seed and the actions."""
    world = World(seed)
    try:
        world.run(actions)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}; {' '.join(world.log)}") from error
    return world
