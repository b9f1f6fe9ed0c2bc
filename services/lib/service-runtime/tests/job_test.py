"""A message in somebody's hands: read by its fields, finished once, buried where a person finds it."""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from dialog_contracts import redis_names
from dialog_contracts.legacy_chain import UserInput
from service_runtime.effects import Effect
from service_runtime.job import Job

LIST = "user_input_queue"


class Desk:
    """Takes what a job finishes with; `taken_away`: somebody else has it by now."""

    def __init__(self) -> None:
        self.finished: list[tuple[str, list[Effect]]] = []
        self.taken_away = False

    async def finish(self, raw: str, effects: Sequence[Effect]) -> bool:
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
    follows: Effect = ("LPUSH", "chat_requests", "next")
    assert await Job("{}", 0, LIST, desk.finish).done(follows)
    assert desk.finished == [("{}", [follows])]
    desk.taken_away = True
    assert not await Job("{}", 1, LIST, desk.finish).done(follows)


async def test_a_buried_one_stands_in_a_bounded_list_beside_its_own(desk: Desk) -> None:
    told: Effect = ("PUBLISH", "task_response:live-001", "sorry")
    assert await Job("odd", 0, LIST, desk.finish).bury("nobody can read it", told)
    dead = redis_names.dead(LIST)
    assert desk.finished == [
        (
            "odd",
            [("LPUSH", dead, "odd"), ("LTRIM", dead, "0", str(redis_names.DEAD_MAX - 1)), told],
        ),
    ]
