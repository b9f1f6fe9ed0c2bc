"""A reliable work queue over Redis lists.

A message is LPUSHed to a list. A consumer moves it (BLMOVE, oldest first) into a processing list of
its own. When the job is done, one script removes it from there and executes what follows: a
response, the next service's job, a sample. A plain BRPOP would lose the message if the consumer
died, and separate commands could execute the follow-ups twice or not at all.

A consumer that fails with a job puts it back after a pause. One that dies leaves it in its
processing list. Consumers therefore hold a lease that they renew every second; each renewal
requeues the messages of consumers whose lease has expired. After a restart a consumer also requeues
what a process of the same name has left. Requeued messages are fetched first, in their old order,
and count an attempt, except at a regular shutdown; with more than `attempts_max` attempts a message
becomes a dead letter.

A job may therefore run twice, for example when a consumer was stalled for longer than its lease,
but it completes once: `Job.complete` returns False when the message was reclaimed.

Commands are in `store.py` and `scripts.py`, the follow-ups in `commands.py`, and the handler's view
of a message in `job.py`.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Handle, Job, OnExhausted, dead_letter_commands
from dialog_redis.work_queue.store import BLOCK_S, QueueStore
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("work_queue")

RENEW_INTERVAL_S: Final = 1.0
RETRY_PAUSE_S: Final = 0.25
DEADLINE_CHECK_S: Final = 0.5


class WorkQueue:
    """One consumer of one queue.

    `consumer` is unique among running processes, and stays the same when a process restarts. At
    most `at_once` jobs run concurrently.
    """

    def __init__(
        self,
        redis_url: str,
        name: str,
        consumer: str,
        *,
        at_once: int = 4,
        lease_s: float = 5.0,
        attempts_max: int = 3,
        close_within_s: float = 5.0,
    ) -> None:
        self.name, self._max_attempts, self._close_timeout_s = name, attempts_max, close_within_s
        self._store = QueueStore(redis_url, name, consumer, lease_s=lease_s)
        self._capacity = asyncio.Semaphore(at_once)
        self._feeding, self._working = BackgroundTasks(), BackgroundTasks()
        # The same text may be in the list twice.
        self._running: Counter[str] = Counter()
        # Held during calls: redis-py loses a connection when its caller is cancelled while the
        # connection returns to the pool.
        self._fetching, self._reclaimer = asyncio.Lock(), asyncio.Lock()
        self._why: str | None = "not connected yet"
        self._waiting = 0
        self._closing = False

    @property
    def unavailable_reason(self) -> str | None:
        """Why no jobs can be fetched now, or None."""
        return self._why

    @property
    def running(self) -> int:
        """Number of running jobs."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Number of messages in the queue at the last renewal of the lease, up to a second ago."""
        return self._waiting

    def start(self, handle: Handle, given_up: OnExhausted) -> None:
        """Begin to fetch jobs and pass them to `handle`.

        `given_up` returns the effects for a message that was requeued more than `attempts_max`
        times.
        """

        def wanted() -> bool:
            return not self._closing

        feed = partial(self._feed, handle, given_up)
        self._feeding.run_forever(
            "work", feed, pause_s=RETRY_PAUSE_S, pause_max_s=2.0, wanted=wanted
        )
        self._feeding.run_forever("lease", self._keep_lease, pause_s=RETRY_PAUSE_S, pause_max_s=1.0)

    async def aclose(self) -> None:
        """Stop fetching, let running jobs finish for a moment, and requeue the others."""
        self._closing = True
        with suppress(TimeoutError):
            # A cancelled fetch may still move a message after everything below, and no code would
            # find it.
            async with asyncio.timeout(BLOCK_S + 2), self._fetching:
                pass
        with suppress(TimeoutError):
            async with asyncio.timeout(self._close_timeout_s):
                await self._working.wait_idle()
        async with self._reclaimer:
            await self._feeding.close()
        await self._cancel_running_jobs()
        with suppress(RedisError, OSError):
            await self._store.requeue(await self._store.held(), counts=False)
            await self._store.release()
        await self._store.aclose()

    async def _cancel_running_jobs(self) -> None:
        while True:
            with suppress(TimeoutError):
                # redis-py may swallow a cancellation in the middle of a call: the job then
                # continues and is cancelled again.
                async with asyncio.timeout(DEADLINE_CHECK_S):
                    await self._working.close()
                return

    async def _feed(self, handle: Handle, given_up: OnExhausted) -> None:
        try:
            async with self._reclaimer:
                # The lease comes before the first message: only a leased consumer's messages are
                # reclaimed if it dies.
                await self._renew()
                # Messages that an earlier process with this name held when it died.
                await self._reclaim(self._idle(await self._store.held()), "restart")
            self._available()
            while not self._closing:
                await self._capacity.acquire()
                try:
                    raw = await self._fetch()
                except BaseException:
                    self._capacity.release()
                    raise
                self._available()
                if raw is None:
                    self._capacity.release()
                    continue
                self._running[raw] += 1
                self._working.start("job", self._do(raw, handle, given_up))
        except (RedisError, OSError) as error:
            self._unavailable(error)

    async def _fetch(self) -> str | None:
        async with self._fetching:
            return None if self._closing else await self._store.fetch()

    async def _do(self, raw: str, handle: Handle, given_up: OnExhausted) -> None:
        try:
            attempts = await self._store.attempts(raw)
            if attempts > self._max_attempts:
                await self._dead_letter(raw, given_up)
                return
            await handle(Job(raw, attempts, self.name, self._finish))
        except (RedisError, OSError) as error:
            # The message stays in the processing list; when Redis is available again it is requeued
            # and fetched again.
            self._unavailable(error)
            await self._retry(raw)
        # The boundary of a job: one message that cannot be worked on must not end the consumer.
        except Exception as error:
            metrics.QUEUE_JOBS.labels(list=self.name, outcome="failed").inc()
            log.error("job_failed", list=self.name, error=repr(error)[:200], exc_info=error)
            await self._retry(raw)
        finally:
            self._running[raw] -= 1
            self._running += Counter()
            self._capacity.release()

    async def _dead_letter(self, raw: str, given_up: OnExhausted) -> None:
        metrics.QUEUE_JOBS.labels(list=self.name, outcome="given_up").inc()
        log.error("job_exhausted", list=self.name, message=raw[:200])
        logged: Sequence[RedisCommand] = ()
        try:
            logged = given_up(raw)
        # The message must be removed even if `given_up` fails; otherwise it would come back for
        # ever.
        except Exception as error:
            log.error(
                "notice_not_published", list=self.name, error=repr(error)[:200], exc_info=error
            )
        await self._finish(raw, [*dead_letter_commands(self.name, raw), *logged])

    async def _retry(self, raw: str) -> None:
        """Requeue a message after a pause; it counts as an attempt."""
        await asyncio.sleep(RETRY_PAUSE_S)
        with suppress(RedisError, OSError):
            await self._store.requeue([raw], counts=True)

    async def _finish(self, raw: str, effects: Sequence[RedisCommand]) -> bool:
        while True:
            try:
                errors = await self._store.complete(raw, effects)
                break
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                self._unavailable(error)
                await asyncio.sleep(RETRY_PAUSE_S)
        for text in errors or ():
            metrics.QUEUE_JOBS.labels(list=self.name, outcome="effect_failed").inc()
            log.error("effect_failed", list=self.name, error=text[:200])
        metrics.QUEUE_JOBS.labels(
            list=self.name, outcome="done" if errors is not None else "taken_away"
        ).inc()
        if errors is None:
            log.warning("job_reclaimed_by_another_consumer", list=self.name)
        return errors is not None

    async def _keep_lease(self) -> None:
        strays: set[str] = set()
        try:
            while True:
                async with self._reclaimer:
                    await self._renew()
                    # Messages of fetches whose reply was lost. They must be seen twice, since a
                    # reply may have been in transit the first time.
                    idle = self._idle(await self._store.held())
                    seen, strays = strays, set(idle)
                    await self._reclaim([raw for raw in idle if raw in seen], "stray")
                await asyncio.sleep(RENEW_INTERVAL_S)
        except (RedisError, OSError) as error:
            self._unavailable(error)

    async def _renew(self) -> None:
        back, self._waiting = await self._store.renew()
        metrics.QUEUE_BACKLOG.labels(list=self.name).set(self._waiting)
        self._count_reclaimed(back, "lease")

    def _idle(self, held: list[str]) -> list[str]:
        """Return the held messages that no job here is processing."""
        working, idle = self._running.copy(), []
        for raw in held:
            if working[raw] > 0:
                working[raw] -= 1
            else:
                idle.append(raw)
        return idle

    async def _reclaim(self, messages: list[str], reason: str) -> None:
        self._count_reclaimed(await self._store.requeue(messages, counts=True), reason)

    def _count_reclaimed(self, count: int, reason: str) -> None:
        if count:
            metrics.QUEUE_JOBS_RECLAIMED.labels(list=self.name).inc(count)
            log.warning("jobs_reclaimed", list=self.name, messages=count, reason=reason)

    def _available(self) -> None:
        if self._why is not None:
            log.info("queue_available", list=self.name)
            self._why = None

    def _unavailable(self, error: BaseException) -> None:
        metrics.REDIS_FAILURES.labels(purpose="work").inc()
        if self._why is None or not isinstance(error, RedisConnectionError):
            log.warning("queue_unavailable", list=self.name, reason=repr(error)[:200])
        self._why = type(error).__name__
