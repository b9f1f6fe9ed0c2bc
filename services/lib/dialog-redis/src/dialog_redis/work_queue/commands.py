"""What a finished piece of work leaves in Redis, as commands: carried out together with its removal from the work list, or not at all."""

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
"""A Redis command and its arguments, or one of the three names below, which `WorkList` knows."""

SUBMIT: Final = "SUBMIT"
ADVANCE: Final = "ADVANCE"
SEND_RESPONSE: Final = "SEND_RESPONSE"


def push(work_list: str, message: WireModel) -> RedisCommand:
    """Work for the next service."""
    return ("LPUSH", work_list, message.to_json())


def announce(channel: str, message: WireModel) -> RedisCommand:
    """Tell whoever listens now."""
    return ("PUBLISH", channel, message.to_json())


def submit(session_id: str, name: str, work_list: str, message: WireModel) -> RedisCommand:
    """Put a turn at the end of its session's backlog; when it is alone there, it goes to the work list at once."""
    return (
        SUBMIT,
        redis_names.session_queue(session_id),
        work_list,
        name,
        message.to_json(),
        str(redis_names.REPLY_CLAIM_TTL_S),
    )


def advance(session_id: str, name: str, work_list: str) -> RedisCommand:
    """The turn is answered: the session's next one goes to the work list. Nothing happens when another turn is first."""
    return (ADVANCE, redis_names.session_queue(session_id), work_list, name)


def send_response(response: TaskResponse) -> RedisCommand:
    """Keep an answer for late subscribers, and announce it; where the turn has an answer already, that one stands and nothing happens."""
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
    """File turns in the session's history, newest last; a later form of a turn replaces the earlier one."""
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
    """The bridge to older listeners: both halves of a turn on `memory_updates`."""
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
    """Nobody needs a recording any more, except a consumer that took the same message in this moment: it soon ends, and with it its place
    in the room for recordings.
    """
    left_s = redis_names.RELEASED_BLOB_TTL_S
    return [
        ("EXPIRE", redis_names.blob(blob_id), str(left_s)),
        ("ZADD", redis_names.RECORDING_ENDS, "XX", "LT", str(int(time.time()) + left_s), blob_id),
    ]


def sample_command(entry: TurnSample) -> RedisCommand:
    """One entry of `vtuber:turns`."""
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


async def execute(client: Redis, commands: Sequence[RedisCommand]) -> None:
    """All of them in one step, outside a work list. Raises what Redis says."""
    pipe = client.pipeline(transaction=True)
    for command in commands:
        pipe.execute_command(*command)
    await pipe.execute()
