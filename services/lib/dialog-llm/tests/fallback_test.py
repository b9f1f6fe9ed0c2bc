from collections.abc import AsyncGenerator, Sequence

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from dialog_llm.errors import AllProvidersFailed, ProviderError, Reason
from dialog_llm.fallback import FallbackLlm
from dialog_llm.provider import GenerationOptions, Message


class _Failure:
    def __init__(self, reason: Reason) -> None:
        self.reason: Reason = reason


class _Provider:
    """Yields the texts of its script; a failure in it is raised."""

    def __init__(self, name: str, *script: str | _Failure) -> None:
        self.name = name
        self.script: Sequence[str | _Failure] = script
        self.calls = 0
        self.closed = False
        self.left_early = False

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        self.calls += 1
        try:
            for step in self.script:
                if isinstance(step, _Failure):
                    raise ProviderError(self.name, step.reason)
                yield step
        except GeneratorExit:
            self.left_early = True
            raise

    async def warm(self) -> None:
        if self.script and isinstance(self.script[0], _Failure):
            raise ProviderError(self.name, self.script[0].reason)

    async def aclose(self) -> None:
        self.closed = True


class _Clock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


async def _reply(chain: FallbackLlm) -> str:
    return "".join(
        [str(piece) async for piece in chain.stream([Message("user", "hi")], GenerationOptions())]
    )


def _count(provider: str, reason: str) -> float:
    return (
        REGISTRY.get_sample_value(
            "dialog_llm_fallbacks_total", {"provider": provider, "reason": reason}
        )
        or 0.0
    )


async def test_the_first_working_provider_answers_alone() -> None:
    second = _Provider("b", "no")
    assert await _reply(FallbackLlm([_Provider("a", "hel", "lo"), second])) == "hello"
    assert second.calls == 0


async def test_a_fall_through_is_logged_and_counted_with_its_reason() -> None:
    before = _count("a", "rate_limited")
    with capture_logs() as logs:
        assert (
            await _reply(
                FallbackLlm([_Provider("a", _Failure("rate_limited")), _Provider("b", "ok")])
            )
            == "ok"
        )
    assert _count("a", "rate_limited") == before + 1
    assert [(line["event"], line["provider"], line["reason"]) for line in logs] == [
        ("llm_fallback", "a", "rate_limited")
    ]


async def test_after_the_first_piece_errors_propagate() -> None:
    second = _Provider("b", "ok")
    chain = FallbackLlm([_Provider("a", "half", _Failure("cut_stream")), second])
    pieces = chain.stream([], GenerationOptions())
    assert await anext(pieces) == "half"
    with pytest.raises(ProviderError, match="cut_stream"):
        await anext(pieces)
    assert second.calls == 0


async def test_when_all_fail_each_reason_is_carried() -> None:
    chain = FallbackLlm(
        [_Provider("a", _Failure("empty")), _Provider("b", _Failure("server_error"))]
    )
    with pytest.raises(AllProvidersFailed) as caught:
        await _reply(chain)
    assert caught.value.failures == (("a", "empty"), ("b", "server_error"))
    assert isinstance(caught.value.__cause__, ProviderError)


@pytest.mark.parametrize("reason", ["unauthorized", "connection", "quota"])
async def test_a_dead_provider_is_left_out_until_it_has_cooled_down(reason: Reason) -> None:
    clock = _Clock()
    first, second = _Provider("a", _Failure(reason)), _Provider("b", "ok")
    chain = FallbackLlm([first, second], cool_down_s=10, clock=clock)
    await _reply(chain)
    before = _count("a", "cooling_down")
    await _reply(chain)
    assert first.calls == 1
    assert _count("a", "cooling_down") == before + 1
    clock.now += 10
    first.script = ["back"]
    assert await _reply(chain) == "back"
    assert await _reply(chain) == "back"


async def test_a_rate_limit_cools_nothing_down() -> None:
    first = _Provider("a", _Failure("rate_limited"))
    chain = FallbackLlm([first, _Provider("b", "ok")])
    await _reply(chain)
    await _reply(chain)
    assert first.calls == 2


async def test_when_all_are_cooling_down_they_are_tried_anyway() -> None:
    first = _Provider("a", _Failure("connection"))
    chain = FallbackLlm([first], clock=_Clock())
    with pytest.raises(AllProvidersFailed):
        await _reply(chain)
    first.script = ["back"]
    assert await _reply(chain) == "back"


async def test_leaving_early_closes_the_provider_inside() -> None:
    first = _Provider("a", "one", "two")
    pieces = FallbackLlm([first]).stream([], GenerationOptions())
    await anext(pieces)
    await pieces.aclose()
    assert first.left_early


async def test_warming_survives_a_provider_that_fails_and_closing_reaches_all() -> None:
    first, second = _Provider("a", _Failure("connection")), _Provider("b", "ok")
    chain = FallbackLlm([first, second])
    await chain.warm()
    await chain.aclose()
    assert first.closed
    assert second.closed


async def test_it_says_who_answers_and_why_not_those_before() -> None:
    first = _Provider("a", _Failure("connection"))
    inner = FallbackLlm(
        [_Provider("b", _Failure("quota")), _Provider("c", "ok")], absent={"openai": "not set up"}
    )
    chain = FallbackLlm([first, inner])
    assert chain.in_use() == ("a", {})
    assert await _reply(chain) == "ok"
    assert chain.in_use() == ("c", {"a": "connection", "openai": "not set up", "b": "quota"})
    report = inner.report()
    assert (report.configured, report.in_use) == (["openai", "b", "c"], "c")
    assert report.why_not == {"openai": "not set up", "b": "b: quota"}
    first.script = ["back"]
    await chain.warm()
    assert chain.in_use() == ("a", {})
