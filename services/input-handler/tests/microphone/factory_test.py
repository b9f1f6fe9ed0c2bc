"""How many microphones a client may have."""

from typing import Any, cast

import pytest

from dialog_contracts.input_socket import MicStart
from input_handler.microphone.factory import MicrophoneFactory
from input_handler.microphone.stream import MicrophoneStream
from service_runtime.http.errors import TooMany

START = MicStart(session_id="s", format="pcm_s16le", sample_rate=16_000)


async def send(_: object) -> None:
    """Nothing is sent before the microphone runs."""


@pytest.fixture
def factory() -> MicrophoneFactory:
    return MicrophoneFactory("ws://asr", cast(Any, None), cast(Any, None), max_per_client=2)


def opened(factory: MicrophoneFactory, client: str) -> MicrophoneStream:
    return factory.open(START, send, lambda *_: None, client)


def test_one_client_cannot_take_the_places_of_others(factory: MicrophoneFactory) -> None:
    for client in ("a", "a", "b"):
        assert isinstance(opened(factory, client), MicrophoneStream)
    with pytest.raises(TooMany, match="2 microphones") as refused:
        opened(factory, "a")
    assert refused.value.body.code == "too_many_microphones"
    opened(factory, "b")


def test_a_microphone_that_has_ended_makes_room_and_leaves_nothing(
    factory: MicrophoneFactory,
) -> None:
    for _ in range(5):
        opened(factory, "a")
        factory.closed("a")
    assert not factory._clients
