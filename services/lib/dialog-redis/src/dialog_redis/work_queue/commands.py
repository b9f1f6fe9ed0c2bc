"""Redis commands that follow from a finished job.

They are executed together with the removal of the job from its queue, or not at all.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from redis.asyncio import Redis

from dialog_contracts import redis_names
from dialog_contracts.http import TurnRecord
from dialog_contracts.legacy_chain import MemoryUpdate, TaskResponse
from dialog_contracts.model import WireModel, correlation_id
from dialog_contracts.turn_sample import TurnSample

RedisCommand = tuple[str, ...]
"""A Redis command and its arguments.

SUBMIT, ADVANCE and SEND_RESPONSE below are not commands of Redis; the completing script implements
them.
"""

SUBMIT: Final = "SUBMIT"
ADVANCE: Final = "ADVANCE"
SEND_RESPONSE: Final = "SEND_RESPONSE"


def push(work_list: str, message: WireModel) -> RedisCommand:
    """Add a message to the next service's work queue."""
    return ("LPUSH", work_list, message.to_json())


def announce(channel: str, message: WireModel) -> RedisCommand:
    """Publish a message to current subscribers."""
    return ("PUBLISH", channel, message.to_json())


def submit(session_id: str, name: str, work_list: str, message: WireModel) -> RedisCommand:
    """Append a turn to its session's queue.

    If it is the only one, it goes to the work queue at once.
    """
    return (
        SUBMIT,
        redis_names.session_queue(session_id),
        work_list,
        name,
        message.to_json(),
        str(redis_names.REPLY_CLAIM_TTL_S),
    )


def advance(session_id: str, name: str, work_list: str) -> RedisCommand:
    """Remove an answered turn from its session's queue and push the next one to the work queue.

    Nothing happens when another turn is first.
    """
    return (ADVANCE, redis_names.session_queue(session_id), work_list, name)


def send_response(response: TaskResponse) -> RedisCommand:
    """Store a response for late subscribers and announce it.

    If the turn already has a response, that one stays and nothing is announced.
    """
    key, channel = (
        redis_names.responses(response.task_id),
        redis_names.task_response(response.task_id),
    )
    return (
        SEND_RESPONSE,
        key,
        response.message_id,
        response.to_json(),
        str(redis_names.RESPONSE_TTL_S),
        channel,
    )


def store_turns(session_id: str, records: Iterable[TurnRecord]) -> list[RedisCommand]:
    """Return the commands that store turns in the session's history.

    A later version of a turn replaces the earlier one.
    """
    key, made, last = redis_names.history(session_id), [], 0
    for record in records:
        made.append(("ZREMRANGEBYSCORE", key, str(record.turn), str(record.turn)))
        made.append(("ZADD", key, str(record.turn), record.to_json()))
        last = max(last, record.turn)
    if not last:
        return []
    return [
        *made,
        ("ZREMRANGEBYRANK", key, "0", str(-redis_names.HISTORY_TURNS - 1)),
        ("EXPIRE", key, str(redis_names.SESSION_TTL_S)),
        ("ZADD", redis_names.SESSIONS, str(int(time.time())), session_id),
        ("ZREMRANGEBYRANK", redis_names.SESSIONS, "0", str(-redis_names.MAX_SESSIONS - 1)),
    ]


def announce_turn(record: TurnRecord, session_id: str) -> list[RedisCommand]:
    """Return the commands that publish both halves of a turn on `memory_updates`.

    Older services listen there.
    """
    name = correlation_id(session_id, record.turn)
    when = datetime.fromtimestamp(record.ts, UTC).isoformat()
    halves: Sequence[tuple[str, str]] = (("user", record.user), ("ai", record.reply))
    return [
        announce(
            redis_names.MEMORY_UPDATES,
            MemoryUpdate.model_validate(
                {
                    "message_id": f"{name}:{source}",
                    "source": source,
                    "content": content,
                    "timestamp": when,
                    "task_id": session_id,
                    "correlation_id": name,
                }
            ),
        )
        for source, content in halves
        if content
    ]


def release_recording(blob_id: str) -> list[RedisCommand]:
    """Return the commands that let a recording that is not needed any more expire in 30 s.

    Its entry in the recording budget expires with it. It is not deleted at once, since another
    consumer may have fetched the same message at this moment.
    """
    left_s = redis_names.RELEASED_BLOB_TTL_S
    return [
        ("EXPIRE", redis_names.blob(blob_id), str(left_s)),
        ("ZADD", redis_names.RECORDING_ENDS, "XX", "LT", str(int(time.time()) + left_s), blob_id),
    ]


def sample_command(entry: TurnSample) -> RedisCommand:
    """Return the command that adds one entry to `vtuber:turns`."""
    fields = ("session", entry.session_id, "turn", str(entry.turn), "sample", entry.to_json())
    return (
        "XADD",
        redis_names.TURN_SAMPLES,
        "MAXLEN",
        "~",
        str(redis_names.TURN_SAMPLES_MAXLEN),
        "*",
        *fields,
    )


def trim_samples_command(now: float) -> RedisCommand:
    """Return the command that removes old entries of `vtuber:turns`; `now` is in Unix seconds."""
    oldest_ms = int((now - redis_names.TURN_SAMPLES_KEPT_S) * 1000)
    return ("XTRIM", redis_names.TURN_SAMPLES, "MINID", "~", str(oldest_ms))


async def execute(client: Redis, commands: Sequence[RedisCommand]) -> None:
    """Execute commands in one transaction, without a job; raises what Redis answers.

    SUBMIT, ADVANCE and SEND_RESPONSE are not possible here.
    """
    pipe = client.pipeline(transaction=True)
    for command in commands:
        pipe.execute_command(*command)
    await pipe.execute()
