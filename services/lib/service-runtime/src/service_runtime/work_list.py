"""Work in Redis lists that is moved and never popped: it is in one place or another at every moment, and is finished once.

A message is LPUSHed to a list; a consumer moves it (BLMOVE, oldest first) into a processing list of its own and, when its work is
done, removes it from there in the same script that carries out what follows. Consumers are leased: whoever finds a lease expired
puts that consumer's messages back, the oldest to be taken first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dialog_contracts import redis_names
from dialog_contracts.model import WireModel
from dialog_telemetry import metrics
from service_runtime.effects import Effect
from service_runtime.tasks import TaskOwner

M = TypeVar("M", bound=WireModel)
log = structlog.get_logger("work")

BLOCK_S: Final = 1
RENEW_EVERY_S: Final = 1.0
AGAIN_AFTER_S: Final = 0.25
CLOSE_WITHIN_S: Final = 5.0

# KEYS: processing, attempts. ARGV: message, then the effects, each as its length and its parts.
_DONE: Final = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {0} end
redis.call('HDEL', KEYS[2], ARGV[1])
local answer, at = {1}, 2
while at <= #ARGV do
  local length = tonumber(ARGV[at])
  local effect = {unpack(ARGV, at + 1, at + length)}
  at = at + length + 1
  local name = effect[1]
  if name == 'SUBMIT' then
    redis.call('RPUSH', effect[2], effect[4] .. '\\n' .. effect[5])
    redis.call('EXPIRE', effect[2], effect[6])
    if redis.call('LLEN', effect[2]) == 1 then redis.call('LPUSH', effect[3], effect[5]) end
  elseif name == 'ADVANCE' then
    local head = redis.call('LINDEX', effect[2], 0)
    local mark = effect[4] .. '\\n'
    if head and string.sub(head, 1, #mark) == mark then
      redis.call('LPOP', effect[2])
      local following = redis.call('LINDEX', effect[2], 0)
      if following then redis.call('LPUSH', effect[3], string.sub(following, string.find(following, '\\n', 1, true) + 1)) end
    end
  elseif name == 'ANSWER' then
    if redis.call('HSETNX', effect[2], effect[3], effect[4]) == 1 then
      redis.call('EXPIRE', effect[2], effect[5])
      redis.call('PUBLISH', effect[6], effect[4])
    end
  else
    -- One effect that fails (a key of another type) must not swallow those after it: the answer is among them.
    local result = redis.pcall(unpack(effect))
    if type(result) == 'table' and result.err then answer[#answer + 1] = name .. ': ' .. result.err end
  end
end
return answer
"""
# KEYS: list, consumers, attempts. ARGV: this consumer, lease in ms, prefix of processing lists. Gives how many messages came back.
_RENEW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
local back = 0
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)) do
  while true do
    local message = redis.call('LMOVE', ARGV[3] .. gone, KEYS[1], 'LEFT', 'RIGHT')
    if not message then break end
    redis.call('HINCRBY', KEYS[3], message, 1)
    back = back + 1
  end
  redis.call('ZREM', KEYS[2], gone)
end
return back
"""
# KEYS: list, processing, attempts. ARGV: 1 when it counts as an attempt; then messages that stay, because they are being worked on.
_PUT_BACK: Final = """
local stay, kept, back = {}, {}, 0
for at = 2, #ARGV do stay[ARGV[at]] = true end
while true do
  local message = redis.call('LPOP', KEYS[2])
  if not message then break end
  if stay[message] then
    kept[#kept + 1] = message
  else
    redis.call('RPUSH', KEYS[1], message)
    if ARGV[1] == '1' then redis.call('HINCRBY', KEYS[3], message, 1) end
    back = back + 1
  end
end
for at = 1, #kept do redis.call('RPUSH', KEYS[2], kept[at]) end
return back
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A message that is being worked on. `attempts`: how often it was taken back from a consumer that failed with it."""

    raw: str
    attempts: int
    work_list: str
    _finish: Callable[[str, Sequence[Effect]], Awaitable[bool]]

    def read(self, model: type[M]) -> M:
        """The message; raises pydantic.ValidationError naming the field, also where it is not JSON or not UTF-8."""
        return model.from_json(self.raw.encode("utf-8", "surrogateescape"))

    async def done(self, *effects: Effect) -> bool:
        """Finish it, with everything that follows, or nothing of it: false when it was taken away meanwhile, and somebody else has it.

        While Redis is away this waits: the work is done and is not done again.
        """
        return await self._finish(self.raw, effects)

    async def bury(self, why: str, *effects: Effect) -> bool:
        """Nobody can ever work on it: it goes to the dead list, where a person can look at it."""
        metrics.WORK_DONE.labels(list=self.work_list, outcome="dead").inc()
        log.error("work_buried", list=self.work_list, reason=why[:200], message=self.raw[:200])
        return await self._finish(self.raw, [*_to_the_dead(self.work_list, self.raw), *effects])


def _to_the_dead(work_list: str, raw: str) -> list[Effect]:
    dead = redis_names.dead(work_list)
    return [("LPUSH", dead, raw), ("LTRIM", dead, "0", str(redis_names.DEAD_MAX - 1))]


Handle = Callable[[Job], Awaitable[None]]
GivenUp = Callable[[str], Sequence[Effect]]


class WorkList:
    """One consumer of one list. `consumer` is unique among those that run, and the same after a restart of the same process."""

    def __init__(
        self,
        redis_url: str,
        name: str,
        consumer: str,
        *,
        at_once: int = 4,
        lease_s: float = 5.0,
        attempts_max: int = 3,
    ) -> None:
        self.name, self._consumer = name, consumer
        self._lease_ms, self._attempts_max = int(lease_s * 1000), attempts_max
        self._redis: Redis = Redis.from_url(
            redis_url,
            decode_responses=True,
            # A message that is not UTF-8 is somebody's mistake and goes to the dead list; it must be readable for that.
            encoding_errors="surrogateescape",
            socket_timeout=BLOCK_S + 2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )
        self._processing = redis_names.processing(name, consumer)
        self._attempts = redis_names.attempts(name)
        self._room = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._feeding, self._working = TaskOwner(), TaskOwner()
        self._running: set[str] = set()
        self._why: str | None = "not connected yet"
        self._closing = False

    @property
    def down_because(self) -> str | None:
        """Why no work can be taken now, or None."""
        return self._why

    @property
    def running(self) -> int:
        """Jobs in hand."""
        return len(self._running)

    def start(self, handle: Handle, given_up: GivenUp) -> None:
        """Take work from now on. `given_up` gives the effects of a message that nobody survived `attempts_max` times."""
        self._feeding.keep("work", lambda: self._feed(handle, given_up), pause_s=AGAIN_AFTER_S, pause_max_s=2.0)
        self._feeding.keep("lease", self._keep_lease, pause_s=AGAIN_AFTER_S, pause_max_s=1.0)

    async def waiting(self) -> int:
        """Messages in the list. Raises RedisError."""
        return int(await self._redis.llen(self.name))

    async def aclose(self) -> None:
        """Take nothing more, let running jobs end for a moment, and put back what is not finished."""
        self._closing = True
        await self._feeding.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._working.quiet()
        await self._working.close()
        with suppress(RedisError, OSError):
            await self._put_back(counts=False)
            await self._redis.zrem(redis_names.consumers(self.name), self._consumer)
        await self._redis.aclose()

    async def _feed(self, handle: Handle, given_up: GivenUp) -> None:
        try:
            # Whatever a process of this name left behind when it died.
            if back := await self._put_back(counts=True):
                metrics.WORK_RECOVERED.labels(list=self.name).inc(back)
                log.warning("work_taken_back", list=self.name, messages=back, reason="restart")
            self._here()
            while True:
                await self._room.acquire()
                try:
                    raw = await self._redis.blmove(self.name, self._processing, BLOCK_S, "RIGHT", "LEFT")
                except BaseException:
                    self._room.release()
                    raise
                self._here()
                if raw is None:
                    self._room.release()
                    continue
                self._running.add(str(raw))
                self._working.start("job", self._do(str(raw), handle, given_up))
        except (RedisError, OSError) as error:
            self._away(error)

    async def _do(self, raw: str, handle: Handle, given_up: GivenUp) -> None:
        try:
            attempts = int(await self._redis.hget(self._attempts, raw) or 0)
            job = Job(raw, attempts, self.name, self._finish)
            if attempts > self._attempts_max:
                await self._give_up(raw, given_up)
                return
            await handle(job)
        except (RedisError, OSError) as error:
            # It stays in the processing list; with Redis back it is put back and taken again.
            self._away(error)
            await self._again(raw)
        # The boundary of a job: one message that cannot be worked on must not end the consumer.
        except Exception as error:
            metrics.WORK_DONE.labels(list=self.name, outcome="failed").inc()
            log.error("job_failed", list=self.name, error=repr(error)[:200], exc_info=error)
            await self._again(raw)
        finally:
            self._running.discard(raw)
            self._room.release()

    async def _give_up(self, raw: str, given_up: GivenUp) -> None:
        metrics.WORK_DONE.labels(list=self.name, outcome="given_up").inc()
        log.error("work_given_up", list=self.name, message=raw[:200])
        await self._finish(raw, [*_to_the_dead(self.name, raw), *given_up(raw)])

    async def _again(self, raw: str) -> None:
        """Back to the list after a pause, as an attempt."""
        await asyncio.sleep(AGAIN_AFTER_S)
        self._running.discard(raw)
        with suppress(RedisError, OSError):
            await self._put_back(counts=True)

    async def _finish(self, raw: str, effects: Sequence[Effect]) -> bool:
        parts = [raw]
        for effect in effects:
            parts += [str(len(effect)), *effect]
        while True:
            try:
                found, *errors = await self._redis.eval(_DONE, 2, self._processing, self._attempts, *parts)
                break
            except (RedisConnectionError, RedisTimeoutError, OSError) as error:
                self._away(error)
                await asyncio.sleep(AGAIN_AFTER_S)
        finished = bool(found)
        for text in errors:
            metrics.WORK_DONE.labels(list=self.name, outcome="effect_failed").inc()
            log.error("effect_failed", list=self.name, error=str(text)[:200])
        metrics.WORK_DONE.labels(list=self.name, outcome="done" if finished else "taken_away").inc()
        if not finished:
            log.warning("work_was_taken_away", list=self.name)
        return finished

    async def _keep_lease(self) -> None:
        try:
            while True:
                keys = (self.name, redis_names.consumers(self.name), self._attempts)
                prefix = redis_names.processing(self.name, "")
                back = int(await self._redis.eval(_RENEW, 3, *keys, self._consumer, str(self._lease_ms), prefix))
                if back:
                    metrics.WORK_RECOVERED.labels(list=self.name).inc(back)
                    log.warning("work_taken_back", list=self.name, messages=back, reason="lease")
                await asyncio.sleep(RENEW_EVERY_S)
        except (RedisError, OSError) as error:
            self._away(error)

    async def _put_back(self, *, counts: bool) -> int:
        keys = (self.name, self._processing, self._attempts)
        made: Any = await self._redis.eval(_PUT_BACK, 3, *keys, "1" if counts else "0", *self._running)
        return int(made)

    def _here(self) -> None:
        if self._why is not None:
            log.info("work_connected", list=self.name)
            self._why = None

    def _away(self, error: BaseException) -> None:
        metrics.REDIS_FAILURES.labels(purpose="work").inc()
        if self._why is None or isinstance(error, RedisConnectionError) is False:
            log.warning("work_unreachable", list=self.name, reason=repr(error)[:200])
        self._why = type(error).__name__
