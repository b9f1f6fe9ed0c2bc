"""A message in somebody's hands.

Read by its fields, finished once, buried where a person finds it.
"""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from dialog_redis.work_queue.commands import RedisCommand
from dialog_redis.work_queue.job import Job

LIST = "user_input_queue"


class Desk:
    """Takes what a job finishes with; `taken_away`: somebody else has it by now."""

    def __init__(self) -> None:
        self.finished: list[tuple[str, list[RedisCommand]]] = []
        self.taken_away = False

    async def finish(self, raw: str, effects: Sequence[RedisCommand]) -> bool:
        self.finished.append((raw, list(effects)))
        return not self.taken_away


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("raw", "told"), [("no json", "JSON"), ('{"content": 5}', "content"), ("\udcff{}", "JSON")]
)
async def test_what_cannot_be_read_is_told_by_its_field(desk: Desk, raw: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Job(raw, 0, LIST, desk.finish).read(UserInput)
    assert desk.finished == []


async def test_all_that_follows_goes_along_or_nothing_of_it(desk: Desk) -> None:
    follows: RedisCommand = ("LPUSH", "chat_requests", "next")
    assert await Job("{}", 0, LIST, desk.finish).complete(follows)
    assert desk.finished == [("{}", [follows])]
    desk.taken_away = True
    assert not await Job("{}", 1, LIST, desk.finish).complete(follows)


async def test_a_buried_one_stands_in_a_bounded_list_beside_its_own(desk: Desk) -> None:
    told: RedisCommand = ("PUBLISH", "task_response:live-001", "sorry")
    assert await Job("odd", 0, LIST, desk.finish).dead_letter("nobody can read it", told)
    dead = redis_names.dead_letter(LIST)
    assert desk.finished == [
        (
            "odd",
            [
                ("LPUSH", dead, "odd"),
                ("LTRIM", dead, "0", str(redis_names.MAX_DEAD_LETTERS - 1)),
                told,
            ],
        ),
    ]
