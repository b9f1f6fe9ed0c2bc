"""A job: one message of a work queue that a consumer is processing."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from dialog_contracts import redis_names
from dialog_contracts.model import WireModel
from dialog_redis.work_queue.commands import RedisCommand
from dialog_telemetry import metrics

M = TypeVar("M", bound=WireModel)
log = structlog.get_logger("work")


@dataclass(frozen=True, slots=True)
class Job:
    """A message that is being processed.

    `attempts` is the number of times it was requeued after a consumer failed or died.
    """

    raw: str
    attempts: int
    work_list: str
    _finish: Callable[[str, Sequence[RedisCommand]], Awaitable[bool]]

    def read(self, model: type[M]) -> M:
        """Parse the message; raises pydantic.ValidationError, which names the field.

        It is also raised where the message is not JSON or not UTF-8.
        """
        return model.from_json(self.raw.encode("utf-8", "surrogateescape"))

    async def complete(self, *effects: RedisCommand) -> bool:
        """Complete the job and execute `effects` in one step.

        Returns False, and executes none of them, when the job was reclaimed and another consumer
        has it. While Redis is not available this waits, so that finished work is not repeated.
        """
        return await self._finish(self.raw, effects)

    async def dead_letter(self, why: str, *effects: RedisCommand) -> bool:
        """Move the message to the dead letter list, where a person can inspect it.

        `effects` are executed in the same step. Returns False as `complete` does.
        """
        metrics.QUEUE_JOBS.labels(list=self.work_list, outcome="dead").inc()
        log.error("work_buried", list=self.work_list, reason=why[:200], message=self.raw[:200])
        return await self._finish(
            self.raw, [*dead_letter_commands(self.work_list, self.raw), *effects]
        )


def dead_letter_commands(work_list: str, raw: str) -> list[RedisCommand]:
    """Return the commands that add a message to the dead letter list.

    The list keeps the latest messages.
    """
    dead = redis_names.dead_letter(work_list)
    return [("LPUSH", dead, raw), ("LTRIM", dead, "0", str(redis_names.MAX_DEAD_LETTERS - 1))]


Handle = Callable[[Job], Awaitable[None]]
OnExhausted = Callable[[str], Sequence[RedisCommand]]
