"""What a voice may raise or send, and what becomes of it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_providers.testing.scripted_provider import ScriptedProvider
from dialog_voice.boundary import VoiceBoundary
from dialog_voice.errors import AllVoicesFailed, ProviderError, VoiceCutOff
from dialog_voice.fallback import FallbackVoice
from dialog_voice.voice import VisemeCue, VoiceAudio, WordCue

pytestmark = pytest.mark.looptime
SOUND = VoiceAudio(b"\1\0" * 480)


class Stranger(ScriptedProvider):
    def synthesize(self, text: str, lang: str) -> AsyncGenerator[Any, None]:
        return self.play()


async def heard(voice: Any) -> list[VoiceAudio]:
    return [piece async for piece in VoiceBoundary(voice).synthesize("hello", "en")]


async def failure(voice: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await heard(voice)
    assert caught.value.provider == "stranger"
    return caught.value


@pytest.mark.parametrize(
    "error",
    [ValueError("odd"), TypeError(), RuntimeError("x"), asyncio.CancelledError("not asked for")],
)
@pytest.mark.parametrize("before", [(), (SOUND,)])
async def test_whatever_is_raised_is_the_voices_failure_by_name(
    error: BaseException, before: tuple[VoiceAudio, ...]
) -> None:
    assert (await failure(Stranger(*before, error))).reason == "unexpected"


async def test_before_the_first_sound_the_next_voice_speaks_and_after_it_the_fragment_ends() -> (
    None
):
    second = Stranger(VoiceAudio(b"\2\0"))
    chain = FallbackVoice([Stranger(ValueError("no")), second])
    assert [piece.pcm async for piece in chain.synthesize("hi", "en")] == [b"\2\0"]
    with pytest.raises(VoiceCutOff):
        [
            piece
            async for piece in FallbackVoice(
                [Stranger(SOUND, ValueError("no")), second]
            ).synthesize("hi", "en")
        ]


@pytest.mark.parametrize(
    "piece",
    [
        b"bare samples",
        None,
        "text",
        VoiceAudio("samples as text"),  # type: ignore[arg-type]
        VoiceAudio(b"\0\0", (VisemeCue(0, {"mouth": 1.0}),)),
        VoiceAudio(b"\0\0", (VisemeCue(0, {"aa": 7.0}),)),
        VoiceAudio(b"\0\0", (VisemeCue(float("nan"), {"aa": 1.0}),)),
        VoiceAudio(b"\0\0", (), (WordCue(0, 2, 99),)),
        VoiceAudio(b"\0\0", (), (WordCue(0, -1, 2),)),
        VoiceAudio(b"\0\0", (), (WordCue(float("inf"), 0, 1),)),
    ],
)
async def test_what_is_no_sound_or_cannot_be_shown_is_bad_audio(piece: Any) -> None:
    assert (await failure(Stranger(piece))).reason == "bad_audio"


@given(st.lists(st.binary(max_size=7), max_size=8))
def test_samples_cut_in_two_are_joined(pieces: list[bytes]) -> None:
    async def all_of() -> list[bytes]:
        return [
            audio.pcm for audio in await heard(Stranger(*(VoiceAudio(piece) for piece in pieces)))
        ]

    found = asyncio.run(all_of())
    whole = b"".join(pieces)
    assert b"".join(found) == whole[: len(whole) - len(whole) % 2]
    assert all(piece and len(piece) % 2 == 0 for piece in found)


@pytest.mark.parametrize(
    ("script", "reason"), [((3600.0,), "timeout_first_audio"), ((SOUND, 3600.0), "idle_gap")]
)
async def test_one_that_hangs_is_given_up_and_closed(script: tuple[Any, ...], reason: str) -> None:
    hung = Stranger(*script)
    assert (await failure(hung)).reason == reason
    assert hung.closed


async def test_warming_and_closing_may_raise_anything_too() -> None:
    stranger = Stranger()
    stranger.warms = LookupError("in warm-up")
    with pytest.raises(AllVoicesFailed, match="stranger: unexpected"):
        await FallbackVoice([stranger]).warm()
    await FallbackVoice([stranger]).aclose()


async def test_a_voice_with_a_free_way_to_be_tried_out_is_tried_out_when_it_warms() -> None:
    class Free(Stranger):
        tried = 0

        async def try_out(self) -> None:
            self.tried += 1

    voice = Free()
    await VoiceBoundary(voice).warm()
    assert voice.tried == 1
