"""What the uploads of several connections hold together."""

import json

from dialog_contracts.input_socket import UploadFrame
from input_handler.legacy.upload_budget import UploadBudget
from input_handler.legacy.upload_session import UploadSession
from input_handler.turns.background_turn import BackgroundTurns
from input_handler.turns.connection_limit import ConcurrencyLimit
from service_runtime.aio.background_tasks import BackgroundTasks


class Nobody(BackgroundTurns):
    """No turn comes of anything here."""

    def __init__(self) -> None:
        pass


def uploads(room: UploadBudget) -> UploadSession:
    return UploadSession(
        "live-001", Nobody(), None, BackgroundTasks(), ConcurrencyLimit(4), room, "10.0.0.1"
    )


def chunk(number: int, **more: str) -> UploadFrame:
    return UploadFrame.model_validate(
        {"type": "audio", "chunk_id": number, "action": "data_chunk", **more}
    )


async def test_what_all_of_them_hold_is_bounded_and_what_went_makes_room() -> None:
    room = UploadBudget(100)
    first, second = uploads(room), uploads(room)
    for each in (first, second):
        each.announce(chunk(0))
    assert first.add(bytes(60)) == "File chunk received"
    assert second.add(bytes(60)) == "Error: too many uploads at once; please send it again"
    assert room.held == 60
    told = json.loads(await second.finish(None, None))
    assert (told["status"], told["error"]) == (
        "error",
        "too many uploads at once; please send it again",
    )
    first.drop()
    assert room.held == 0
    second.announce(chunk(0))
    assert second.add(bytes(60)) == "File chunk received"


async def test_a_refused_chunk_and_a_finished_upload_are_held_no_longer() -> None:
    room = UploadBudget()
    one = uploads(room)
    one.announce(chunk(0))
    one.add(bytes(10))
    one.announce(
        UploadFrame.model_validate({"type": "audio", "chunk_id": 1, "action": "data_chunk"})
    )
    one.add(bytes(17 * 1024 * 1024))
    assert room.held == 0, "the whole upload was refused"
    await one.finish(None, None)
    text = UploadFrame.model_validate(
        {"type": "text", "chunk_id": 0, "action": "data_chunk", "text": "hello"}
    )
    one.announce(text)
    assert (room.held, one.open) == (5, True)
    one.expire()
    assert (room.held, one.open) == (0, False)
