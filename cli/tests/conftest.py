import signal
from collections.abc import Iterator

import pytest

from vtuber_cli.testing.answering_server import AnsweringServer, answering


@pytest.fixture(autouse=True)
def hangup_is_not_ignored() -> Iterator[None]:
    """Under `nohup` SIGHUP is ignored, and a run respects that; these tests mean a terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def answering_server() -> Iterator[AnsweringServer]:
    with answering() as start:
        yield start
