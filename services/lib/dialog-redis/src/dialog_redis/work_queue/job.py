"""A message of a work list in somebody's hands: read it, finish it with all that follows, or bury it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from dialog_contracts import redis_names
from dialog_contracts.model import WireModel
from dialog_redis.work_queue.commands import RedisCommand
from dialog_telemetry import metrics

M = TypeVar("M", bound=WireModel)
log = structlog.get_logger("work_queue")


@dataclass(frozen=True, slots=True)
class Job:
    """A message that is being worked on. `attempts`: how often it was taken back from a consumer that failed with it."""

    raw: str
    attempts: int
    work_list: str
    _finish: Callable[[str, Sequence[RedisCommand]], Awaitable[bool]]

    def read(self, model: type[M]) -> M:
        """The message; raises pydantic.ValidationError naming the field, also where it is not JSON or not UTF-8."""
        return model.from_json(self.raw.encode("utf-8", "surrogateescape"))

    async def complete(self, *effects: RedisCommand) -> bool:
        """Finish it, with everything that follows, or nothing of it: false when it was taken away meanwhile, and somebody else has it.

        While Redis is away this waits: the work is done and is not done again.
        """
        return await self._finish(self.raw, effects)

    async def dead_letter(self, why: str, *effects: RedisCommand) -> bool:
        """Nobody can ever work on it: it goes to the dead list, where a person can look at it."""
        metrics.QUEUE_JOBS.labels(list=self.work_list, outcome="dead").inc()
        log.error(
            "job_dead_lettered", list=self.work_list, reason=why[:200], message=self.raw[:200]
        )
        return await self._finish(
            self.raw, [*dead_letter_commands(self.work_list, self.raw), *effects]
        )


def dead_letter_commands(work_list: str, raw: str) -> list[RedisCommand]:
    """What puts a message where a person can look at it; the latest are kept."""
    dead = redis_names.dead_letter(work_list)
    return [("LPUSH", dead, raw), ("LTRIM", dead, "0", str(redis_names.MAX_DEAD_LETTERS - 1))]


Handle = Callable[[Job], Awaitable[None]]
OnExhausted = Callable[[str], Sequence[RedisCommand]]
