"""Answers of the legacy chain as they come: announced on `task_response:{task_id}`, and kept for whoever listens late."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, cast

import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import TaskResponse
from dialog_redis.client import RedisClient, connect_without_retries
from dialog_redis.work_queue import commands, scripts
from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import BackgroundTasks

log = structlog.get_logger("legacy_responses")

TIMEOUT_S: Final = 2.0
PING_EVERY_S: Final = 5.0
MAX_SEEN: Final = 512
"""Message ids that a watcher remembers."""

MAX_STORED: Final = 64
"""Answers kept of one session; beyond it the older half goes, which a session that never falls silent would keep for ever."""

PURPOSE: Final = "answers"
# A connection without any subscription cannot be read; nobody publishes here.
_ANCHOR: Final = redis_names.task_response("")

OnResponse = Callable[[TaskResponse], None]


class _Subscriber:
    def __init__(self, take: OnResponse, only: str | None, unheard: bool) -> None:
        self.on_response, self.only, self.undelivered = take, only, unheard
        self.caught_up = False
        self._seen: OrderedDict[str, None] = OrderedDict()

    def wants(self, message_id: str) -> bool:
        return message_id not in self._seen and self.only in (None, message_id)

    def offer(self, response: TaskResponse) -> None:
        if not self.wants(response.message_id):
            return
        self._seen[response.message_id] = None
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        self.on_response(response)


class LegacyResponses:
    """One subscription connection for a process. `start` within a running loop, then `watch`; `aclose` at the end.

    Each watcher is given each answer once, in the order of announcement, kept ones first. A Redis that is away is logged once and counted;
    what was announced meanwhile is read from where it is kept once Redis is back.
    """

    def __init__(self, redis_url: str) -> None:
        # No retries: a connection that comes back behind our back would have missed announcements.
        self._redis = connect_without_retries(
            redis_url, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._connection = RedisClient(redis_url, timeout_s=1.0)
        self._tasks = BackgroundTasks()
        self._subscribers: dict[str, list[_Subscriber]] = {}
        self._confirmed: set[str] = set()
        self._changed = asyncio.Event()
        # Held during calls: the client loses a connection whose caller is cancelled while it is handed back to the pool.
        self._calling = asyncio.Lock()
        self._down: str | None = "not connected yet"
        self._unavailable_logged = False

    @property
    def unavailable_reason(self) -> str | None:
        """Why no announcement can be heard now, or None."""
        return self._down

    def start(self) -> None:
        """Begin to listen, in the background."""
        self._tasks.run_forever("answers", self._follow, pause_s=0.1, pause_max_s=1.0)

    async def aclose(self) -> None:
        """Nothing is given to anybody any more."""
        async with self._calling:
            await self._tasks.close()
        await self._redis.aclose()
        await self._connection.aclose()

    def subscribe(
        self, task_id: str, take: OnResponse, *, only: str | None = None, unheard: bool = False
    ) -> None:
        """From now on `take` is called with the answers to this task, those that are kept already included.

        `only`: with the answer of this message_id alone. `unheard`: kept answers that somebody has heard are left out.
        """
        self._subscribers.setdefault(task_id, []).append(_Subscriber(take, only, unheard))
        self._changed.set()

    def unsubscribe(self, task_id: str, take: OnResponse) -> None:
        """`take` is not called any more."""
        left = [
            watcher for watcher in self._subscribers.pop(task_id, []) if watcher.on_response != take
        ]
        if left:
            self._subscribers[task_id] = left
        self._changed.set()

    async def store(self, response: TaskResponse) -> TaskResponse:
        """Make it the answer to what bears its name; gives the answer that stands, which may be an earlier one. Raises RedisDown."""
        _, *parts = commands.send_response(response)

        async def work(client: Redis) -> TaskResponse | None:
            return _parse(str(await client.eval(scripts.SEND_RESPONSE, 0, *parts)))

        return await self._connection.call(PURPOSE, work) or response

    async def mark_delivered(self, response: TaskResponse) -> None:
        """The answer reached a viewer to its end: late subscribers are not given it, and its sound goes soon. Raises RedisDown."""
        key = redis_names.delivered(response.task_id)

        async def work(client: Redis) -> None:
            async with client.pipeline(transaction=False) as together:
                together.sadd(key, response.message_id)
                together.expire(key, redis_names.RESPONSE_TTL_S)
                if response.audio is not None:
                    together.expire(
                        redis_names.blob(response.audio.id),
                        redis_names.RELEASED_BLOB_TTL_S,
                        lt=True,
                    )
                await together.execute()

        await self._connection.call(PURPOSE, work)

    async def delivered_ids(self, task_id: str) -> set[str]:
        """The message_ids of answers that reached a viewer to their end. Raises RedisDown."""

        async def work(client: Redis) -> set[str]:
            return cast("set[str]", await client.smembers(redis_names.delivered(task_id)))

        return await self._connection.call(PURPOSE, work)

    async def _follow(self) -> None:
        """Until the connection breaks; the owner repeats."""
        self._confirmed.clear()
        for watcher in self._each():
            watcher.caught_up = False
        try:
            async with self._redis.pubsub() as channel:
                async with self._calling:
                    await channel.subscribe(_ANCHOR)
                reading = asyncio.create_task(self._read(channel))
                reading.add_done_callback(lambda _: self._changed.set())
                try:
                    await self._follow_forever(channel, reading)
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        except (RedisError, OSError) as error:
            metrics.REDIS_FAILURES.labels(purpose=PURPOSE).inc()
            self._down = type(error).__name__
            if not self._unavailable_logged:
                log.warning(
                    "responses_redis_unavailable",
                    reason=repr(error)[:200],
                    sessions=len(self._subscribers),
                )
            self._unavailable_logged = True

    async def _read(self, channel: PubSub) -> None:
        """The only reader of the connection."""
        silent = 0
        while True:
            message = await channel.get_message(timeout=PING_EVERY_S)
            if message is None:
                silent += 1
                if silent > 1:
                    raise RedisConnectionError("no answer to PING")
                await channel.ping()
                continue
            silent = 0
            name = str(message["channel"]).removeprefix(_ANCHOR)
            if message["type"] == "message":
                self._deliver(name, [str(message["data"])])
            elif message["type"] == "subscribe":
                # Only now is it certain that nothing announced from here on is missed: what is kept may be read.
                self._confirmed.add(name)
                self._changed.set()

    async def _follow_forever(self, channel: PubSub, reading: "asyncio.Task[None]") -> None:
        """Subscriptions follow the watchers; whoever is new gets what is kept."""
        subscribed: set[str] = set()
        while True:
            self._changed.clear()
            if reading.done():
                reading.result()
            wanted = set(self._subscribers)
            async with self._calling:
                if gone := subscribed - wanted:
                    await channel.unsubscribe(*map(redis_names.task_response, gone))
                    self._confirmed -= gone
                if new := wanted - subscribed:
                    await channel.subscribe(*map(redis_names.task_response, new))
                subscribed = wanted
                for task_id in wanted & self._confirmed:
                    for watcher in self._subscribers.get(task_id, []):
                        if not watcher.caught_up:
                            await self._catch_up(task_id, watcher)
            if "" in self._confirmed and self._down is not None:
                log.info(
                    "responses_redis_available"
                    if self._unavailable_logged
                    else "responses_subscribed"
                )
                self._down, self._unavailable_logged = None, False
            await self._changed.wait()

    async def _catch_up(self, task_id: str, watcher: _Subscriber) -> None:
        key = redis_names.responses(task_id)
        async with self._redis.pipeline(transaction=False) as both:
            both.hkeys(key)
            both.smembers(redis_names.delivered(task_id))
            names, delivered = await both.execute()
        wanted = [
            name
            for name in names
            if watcher.wants(name) and not (watcher.undelivered and name in delivered)
        ]
        kept = await self._redis.hmget(key, wanted) if wanted else []
        watcher.caught_up = True
        self._deliver(task_id, [str(raw) for raw in kept if raw is not None], to=watcher)
        if len(names) > MAX_STORED:
            await self._prune_confirmed(task_id)

    async def _prune_confirmed(self, task_id: str) -> None:
        key = redis_names.responses(task_id)
        kept = await self._redis.hvals(key)
        read = sorted(
            (response for raw in kept if (response := _parse(str(raw))) is not None), key=_age
        )
        older = [response.message_id for response in read[: -(MAX_STORED // 2)]]
        log.info("responses_pruned", session=task_id, count=len(older))
        if older:
            await self._redis.hdel(key, *older)
            await self._redis.srem(redis_names.delivered(task_id), *older)

    def _deliver(self, task_id: str, raws: Iterable[str], *, to: _Subscriber | None = None) -> None:
        responses = [response for raw in raws if (response := _parse(raw)) is not None]
        for response in sorted(responses, key=_age):
            for watcher in [to] if to is not None else list(self._subscribers.get(task_id, [])):
                watcher.offer(response)

    def _each(self) -> Iterable[_Subscriber]:
        return [watcher for watchers in self._subscribers.values() for watcher in watchers]


def _age(response: TaskResponse) -> tuple[int, float]:
    """Answers in the order of their turns; those without a turn first, in the order of their questions."""
    return (response.meta.turn or 0, response.meta.received_at or 0.0)


def _parse(raw: str) -> TaskResponse | None:
    try:
        return TaskResponse.from_json(raw)
    except ValidationError as error:
        metrics.REQUESTS_REJECTED.labels(code="bad_answer").inc()
        log.warning("bad_legacy_response", error=str(error)[:200])
        return None
