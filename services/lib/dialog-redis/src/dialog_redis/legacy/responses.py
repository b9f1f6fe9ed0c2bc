"""Responses of the legacy pipeline: announced on a channel and stored for late subscribers.

A response is published on `task_response:{task_id}` and stored in a hash for ten minutes.
Publishing alone would lose it whenever a subscriber is not connected; polling alone would delay it.

LegacyResponses holds one subscription connection per process. The order of its steps avoids a gap:
a task's channel is subscribed first, and only when Redis has confirmed that are the stored
responses read. A response that arrives both ways is passed on once, by its message_id. After a lost
connection all tasks are subscribed again and their stored responses are read again.

The commands that store and publish a response are in `dialog_redis.work_queue`, because a worker
sends its response in the script that completes its job.
"""

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
"""Number of message ids that a subscriber remembers."""

MAX_STORED: Final = 64
"""Number of stored responses of one session beyond which old ones are deleted.

Only the newest half of this number is kept. Otherwise a session that never pauses would keep its
responses for ever.
"""

PURPOSE: Final = "answers"
# A connection without any subscription cannot be read; no message is published on this channel.
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
    """Subscribes to legacy responses, stores them and marks them as delivered.

    Call `start` within a running loop, then `subscribe`, and `aclose` at the end. Each subscriber
    gets each response once: stored ones first, in the order of their turns, then new ones as they
    are announced. A Redis that is not available is logged once and counted; responses that were
    announced meanwhile are read from their store afterwards.
    """

    def __init__(self, redis_url: str) -> None:
        # No retries: a connection that is restored silently would have missed announcements.
        self._redis = connect_without_retries(
            redis_url, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S
        )
        self._connection = RedisClient(redis_url, timeout_s=1.0)
        self._tasks = BackgroundTasks()
        self._subscribers: dict[str, list[_Subscriber]] = {}
        self._confirmed: set[str] = set()
        self._changed = asyncio.Event()
        # Held during calls: redis-py loses a connection when its caller is cancelled while the
        # connection returns to the pool.
        self._calling = asyncio.Lock()
        self._down: str | None = "not connected yet"
        self._unavailable_logged = False

    @property
    def unavailable_reason(self) -> str | None:
        """Why no announcements are received now, or None."""
        return self._down

    def start(self) -> None:
        """Start to follow the channels, in the background."""
        self._tasks.run_forever("answers", self._follow, pause_s=0.1, pause_max_s=1.0)

    async def aclose(self) -> None:
        """Stop following and close the connections."""
        async with self._calling:
            await self._tasks.close()
        await self._redis.aclose()
        await self._connection.aclose()

    def subscribe(
        self, task_id: str, take: OnResponse, *, only: str | None = None, unheard: bool = False
    ) -> None:
        """Call `take` with each response to this task, including those that are already stored.

        `only` restricts it to the response with this message_id. With `unheard` stored responses
        that were already delivered are left out.
        """
        self._subscribers.setdefault(task_id, []).append(_Subscriber(take, only, unheard))
        self._changed.set()

    def unsubscribe(self, task_id: str, take: OnResponse) -> None:
        """Stop calling `take`."""
        left = [
            watcher for watcher in self._subscribers.pop(task_id, []) if watcher.on_response != take
        ]
        if left:
            self._subscribers[task_id] = left
        self._changed.set()

    async def store(self, response: TaskResponse) -> TaskResponse:
        """Store and announce a response; returns the response that is stored.

        That may be an earlier one with the same message_id. Raises RedisUnavailable.
        """
        _, *parts = commands.send_response(response)

        async def work(client: Redis) -> TaskResponse | None:
            return _parse(str(await client.eval(scripts.SEND_RESPONSE, 0, *parts)))

        return await self._connection.call(PURPOSE, work) or response

    async def mark_delivered(self, response: TaskResponse) -> None:
        """Record that a response was delivered to a viewer completely.

        Late subscribers can then leave it out, and its audio expires soon. Raises RedisUnavailable.
        """
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
        """Return the message_ids of delivered responses. Raises RedisUnavailable."""

        async def work(client: Redis) -> set[str]:
            return cast("set[str]", await client.smembers(redis_names.delivered(task_id)))

        return await self._connection.call(PURPOSE, work)

    async def _follow(self) -> None:
        """Follow the channels until the connection fails; BackgroundTasks repeats it."""
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
        """Read the connection; no other code reads it."""
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
                # Only after the confirmation is no later announcement missed, so stored responses
                # may be read now.
                self._confirmed.add(name)
                self._changed.set()

    async def _follow_forever(self, channel: PubSub, reading: "asyncio.Task[None]") -> None:
        """Adapt the subscriptions to the subscribers, and read stored responses for new ones."""
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
            await self._prune_stored(task_id)

    async def _prune_stored(self, task_id: str) -> None:
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
    """Sort key of responses: by turn; those without a turn first, by their time of receipt."""
    return (response.meta.turn or 0, response.meta.received_at or 0.0)


def _parse(raw: str) -> TaskResponse | None:
    try:
        return TaskResponse.from_json(raw)
    except ValidationError as error:
        metrics.REQUESTS_REJECTED.labels(code="bad_answer").inc()
        log.warning("bad_legacy_response", error=str(error)[:200])
        return None
