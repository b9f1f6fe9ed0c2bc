from collections.abc import AsyncGenerator, Sequence

import pytest
from prometheus_client import REGISTRY

from dialog_voice.errors import AllVoicesFailed, ProviderError, Reason, VoiceCutOff
from dialog_voice.fallback import FallbackVoice
from dialog_voice.voice import BYTES_PER_MS, VoiceAudio


class _Voice:
    """Yields one piece per entry; an entry that is a reason is raised."""

    def __init__(self, name: str, script: Sequence[bytes | Reason]) -> None:
        self.name = name
        self.script = script
        self.calls = 0
        self.closed = False
        self.left_early = False

    async def synthesize(self, text: str, lang: str) -> AsyncGenerator[VoiceAudio, None]:
        self.calls += 1
        try:
            for step in self.script:
                if isinstance(step, str):
                    raise ProviderError(self.name, step)
                yield VoiceAudio(step)
        except GeneratorExit:
            self.left_early = True
            raise

    async def warm(self) -> None:
        if self.script and isinstance(self.script[0], str):
            raise ProviderError(self.name, self.script[0])

    async def aclose(self) -> None:
        self.closed = True


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


_MS_40 = bytes(40 * BYTES_PER_MS)


async def _heard(chain: FallbackVoice) -> bytes:
    return b"".join([piece.pcm async for piece in chain.synthesize("hi", "en")])


def _count(provider: str, reason: str) -> float:
    return (
        REGISTRY.get_sample_value(
            "dialog_tts_fallbacks_total", {"provider": provider, "reason": reason}
        )
        or 0.0
    )


async def test_the_first_voice_speaks_when_it_can() -> None:
    first, second = _Voice("a", [b"aa", b"bb"]), _Voice("b", [b"cc"])
    assert await _heard(FallbackVoice([first, second])) == b"aabb"
    assert second.calls == 0


async def test_a_failure_before_sound_goes_to_the_next_voice_and_is_counted() -> None:
    before = _count("a", "server_error")
    assert (
        await _heard(FallbackVoice([_Voice("a", ["server_error"]), _Voice("b", [b"cc"])])) == b"cc"
    )
    assert _count("a", "server_error") == before + 1


async def test_a_failure_after_sound_says_how_much_was_delivered_and_the_next_fragment_changes_voice() -> (
    None
):
    first, second = _Voice("a", [_MS_40, "cut_stream"]), _Voice("b", [b"cc"])
    clock = _Clock()
    chain = FallbackVoice([first, second], cool_down_s=5, clock=clock)
    with pytest.raises(VoiceCutOff) as caught:
        await _heard(chain)
    assert caught.value.delivered_ms == 40
    assert caught.value.reason == "cut_stream"
    assert await _heard(chain) == b"cc"
    assert first.calls == 1
    clock.now += 5
    first.script = [b"aa"]
    assert await _heard(chain) == b"aa"


async def test_a_text_that_a_voice_refuses_does_not_cool_it_down() -> None:
    first = _Voice("a", ["bad_request"])
    chain = FallbackVoice([first, _Voice("b", [b"cc"])])
    assert await _heard(chain) == b"cc"
    first.script = [b"aa"]
    assert await _heard(chain) == b"aa"


async def test_when_all_are_cooling_down_all_are_tried() -> None:
    first, second = _Voice("a", ["connection"]), _Voice("b", ["connection"])
    chain = FallbackVoice([first, second])
    for _ in range(2):
        with pytest.raises(AllVoicesFailed) as caught:
            await _heard(chain)
    assert caught.value.failures == (("a", "connection"), ("b", "connection"))
    assert first.calls == second.calls == 2


async def test_leaving_early_closes_the_voice_inside() -> None:
    first = _Voice("a", [b"aa", b"bb"])
    pieces = FallbackVoice([first]).synthesize("hi", "en")
    await anext(pieces)
    await pieces.aclose()
    assert first.left_early


async def test_warming_survives_a_voice_that_fails_and_closing_reaches_all() -> None:
    first, second = _Voice("a", ["connection"]), _Voice("b", [b"cc"])
    chain = FallbackVoice([first, second])
    await chain.warm()
    await chain.aclose()
    assert first.closed
    assert second.closed


async def test_it_says_who_speaks_and_why_not_those_before() -> None:
    first, second = _Voice("a", ["connection"]), _Voice("b", [b"cc"])
    chain = FallbackVoice([first, FallbackVoice([second])])
    assert await _heard(chain) == b"cc"
    assert chain.in_use() == ("b", {"a": "connection"})
    assert chain.report().why_not == {"a": "a: connection"}
    first.script = [b"aa"]
    await chain.warm()
    assert chain.in_use() == ("a", {})
