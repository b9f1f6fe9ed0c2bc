from collections.abc import Callable

import pytest

from dialog_engine.turn.action_executor import ActionExecutor
from dialog_engine.turn.actions import Action, CancelModel, EndSynthesis, Finish
from dialog_engine.turn.event_log import EventLog
from dialog_engine.turn.state_machine import TurnStateMachine

Made = Callable[[Callable[[Action], None]], ActionExecutor]


@pytest.fixture
def machine() -> TurnStateMachine:
    return TurnStateMachine(turn=1, voiced=False)


@pytest.fixture
async def make(machine: TurnStateMachine) -> Made:
    return lambda execute: ActionExecutor(machine, EventLog(1), execute)


async def test_what_is_decided_meanwhile_comes_after_what_was_decided_before(make: Made) -> None:
    done: list[str] = []

    def execute(action: Action) -> None:
        done.append(type(action).__name__)
        if isinstance(action, CancelModel):
            executor.apply([Finish("completed", None)])

    executor = make(execute)
    executor.apply([CancelModel(), EndSynthesis()])
    assert done == ["CancelModel", "EndSynthesis", "Finish"]


async def test_an_action_that_fails_ends_the_turn_and_the_others_are_still_executed(
    make: Made, machine: TurnStateMachine
) -> None:
    done: list[str] = []

    def execute(action: Action) -> None:
        done.append(type(action).__name__)
        if isinstance(action, CancelModel) and done.count("CancelModel") == 1:
            raise LookupError("a bug")

    make(execute).apply([CancelModel(), EndSynthesis()])
    assert done[:2] == ["CancelModel", "EndSynthesis"]
    assert machine.finished
    assert done.count("Finish") == 1


async def test_a_model_task_that_ends_without_a_result_is_an_error_of_the_turn(
    make: Made, machine: TurnStateMachine
) -> None:
    executor = make(lambda _: None)
    executor.on_task_ended("captions", LookupError("not of this turn's text"))
    assert not machine.finished
    executor.on_task_ended("model", None)
    assert machine.finished
