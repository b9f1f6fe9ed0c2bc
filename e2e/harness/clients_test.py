"""The harness's own judgement of silence, because tests of STOP stand on it."""

from typing import Any, cast

import pytest

from e2e.harness.clients import Viewer, chunks_after_stop_ack

START = {"action": "START", "turn": 1}
LEGACY = {"action": "START", "turn": 1, "path": "legacy"}
STOP = {"action": "STOP", "turn": 1}
WITHDRAWN = {"action": "STOP_ACK", "turn": 1}
INTERRUPTED = {"action": "STOP_ACK", "turn": 1, "heardText": ""}
WORD = {"type": "TEXT_DELTA", "turn": 1}


@pytest.mark.parametrize(
    ("order", "late"),
    [
        ([START, 1, 1, STOP, INTERRUPTED], []),
        ([START, 1, STOP, INTERRUPTED, 1], [1]),
        ([START, STOP, INTERRUPTED, LEGACY, 1], [1]),
        # Stopped by way of another replica: this viewer saw no STOP, and the turn is over all the
        # same.
        ([START, INTERRUPTED, LEGACY, 1], [1]),
        ([START, WITHDRAWN, LEGACY, 1, 1], []),
        ([START, WITHDRAWN, START, 1], [1]),
        ([START, WITHDRAWN, 1], [1]),
        ([START, WORD, WITHDRAWN, LEGACY, 1], [1]),
        ([START, 1, WITHDRAWN, LEGACY, 1], [1]),
        ([START, WITHDRAWN, LEGACY, 1, STOP, INTERRUPTED, 1], [1]),
    ],
)
def test_a_chunk_after_the_end_of_its_turn_is_found(
    order: list[dict[str, Any] | int], late: list[int]
) -> None:
    assert chunks_after_stop_ack(Viewer(cast("Any", None), order=order)) == late
