"""Recent messages of each viewer, in the format that older services read."""

import json
import time
from datetime import UTC, datetime
from typing import Final

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import ANONYMOUS, UserInput
from dialog_redis.work_queue.commands import RedisCommand

MAX_NAME_CHARS: Final = 256
A_DAY_S: Final = 24 * 3600


class ViewerHistory:
    """The lists `memory:user_sessions:{viewer}`, newest last.

    A list has at most `messages` items and expires `ttl_s` seconds after the last one.
    """

    def __init__(self, messages: int, ttl_s: int) -> None:
        self._messages, self._ttl_s = messages, ttl_s

    def append_commands(self, message: UserInput, session_id: str, name: str) -> list[RedisCommand]:
        """Return the commands that append the message of the turn `name`.

        A viewer without a name has a list for each session, so that viewers do not share one.
        """
        known = message.user_id not in ("", ANONYMOUS) and len(message.user_id) <= MAX_NAME_CHARS
        key = redis_names.viewer_context(message.user_id if known else f"{ANONYMOUS}:{session_id}")
        item = {
            "message_id": f"{name}:user",
            "user_id": message.user_id[:MAX_NAME_CHARS],
            "type": message.type,
            "content": message.content,
            "source": message.source,
            "timestamp": datetime.fromtimestamp(_timestamp(message), UTC).isoformat(),
            "require_ai_response": True,
            "metadata": {"task_id": message.task_id},
        }
        return [
            ("RPUSH", key, json.dumps(item, ensure_ascii=False)),
            ("LTRIM", key, str(-self._messages), "-1"),
            ("EXPIRE", key, str(self._ttl_s)),
        ]


def _timestamp(message: UserInput) -> float:
    """Return the time of the message in Unix seconds.

    Some older producers send the uptime of their machine; the present time replaces it.
    """
    now = time.time()
    return message.timestamp if abs(now - message.timestamp) < A_DAY_S else now
