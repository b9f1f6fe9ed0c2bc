"""The last words of each viewer, as older services read them. Nobody's words are in somebody else's list."""

import json
import time
from datetime import UTC, datetime
from typing import Final

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from dialog_redis.work_queue.commands import RedisCommand

ANONYMOUS: Final = "anonymous"
MAX_NAME_CHARS: Final = 256
A_DAY_S: Final = 24 * 3600


class ViewerHistory:
    """List `memory:user_sessions:{viewer}`, newest last: at most `messages`, for `ttl_s` seconds after the last of them."""

    def __init__(self, messages: int, ttl_s: int) -> None:
        self._messages, self._ttl_s = messages, ttl_s

    def append_commands(self, message: UserInput, session_id: str, name: str) -> list[RedisCommand]:
        """What files the message of the turn `name`. Somebody without a name is known in his session only."""
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
    """Unix seconds. Older producers write a clock that began with their machine; theirs is taken for now."""
    now = time.time()
    return message.timestamp if abs(now - message.timestamp) < A_DAY_S else now
