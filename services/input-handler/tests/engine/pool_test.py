"""Which ways there are, by how the engines are configured.

That turns find them is in `owners_test.py`.
"""

import pytest

from dialog_contracts.rendezvous import rank_engines
from input_handler.engine.client import EngineClient
from input_handler.engine.guard import EngineGuard
from input_handler.engine.pool import ANY_ORDINAL, ORDINALS, EnginePool

PATTERN = "http://engine-{}.pods:8100"


class Made:
    """Engines, and the addresses that were connected to."""

    def __init__(self, *urls: str, pattern: str | None = None) -> None:
        self.urls: list[str] = []
        self.engines = EnginePool(urls, pattern, self._connect, self._path)

    def _connect(self, url: str) -> EngineClient:
        self.urls.append(url)
        return EngineClient(url)

    def _path(self, client: EngineClient, name: str) -> EngineGuard:
        return EngineGuard(client, name=name, accept_timeout_s=1, first_token_timeout_s=1)


async def test_behind_an_only_address_may_be_any_engine() -> None:
    made = Made("http://engine:8100", pattern=PATTERN)
    assert made.engines.candidates("live-001") == [ANY_ORDINAL]
    assert made.engines.circuit_states() == {"only": "closed"}
    named = await made.engines.get(0)
    assert named is not await made.engines.get(ANY_ORDINAL), (
        "the same engine perhaps, by its own name"
    )
    assert named is await made.engines.get(0)
    assert made.urls == ["http://engine:8100", "http://engine-0.pods:8100"]
    await made.engines.aclose()


async def test_configured_engines_are_asked_by_preference_and_others_only_when_they_are_named() -> (
    None
):
    made = Made("http://a", "http://b", pattern=PATTERN)
    assert made.engines.candidates("live-001") == rank_engines("live-001", 2)
    await made.engines.get(1)
    assert made.urls == ["http://a", "http://b"]
    await made.engines.get(2)
    assert made.urls[2:] == ["http://engine-2.pods:8100"]
    assert list(made.engines.circuit_states()) == ["0", "1", "2"]
    assert made.engines.candidates("live-001") == rank_engines("live-001", 2)
    await made.engines.aclose()


@pytest.mark.parametrize(("pattern", "ordinal"), [(None, 2), (PATTERN, ORDINALS)])
async def test_an_engine_that_cannot_be_has_no_way(pattern: str | None, ordinal: int) -> None:
    made = Made("http://a", "http://b", pattern=pattern)
    assert await made.engines.get(ordinal) is None
    assert len(made.urls) == 2
