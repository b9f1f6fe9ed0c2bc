"""Lets each configured language model and voice produce one sentence, for `vtuber doctor`.

`python -m dialog_engine.provider_check` prints a line of JSON for each one when it is done. It
reads the engine's settings. Besides the configured voices it tries Edge, and OpenAI if the user has
set a key for it.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Final, Literal

from pydantic import ValidationError

from dialog_engine.settings import EngineSettings
from dialog_llm import factory as models
from dialog_llm.errors import LlmError
from dialog_llm.fallback import FallbackLlm
from dialog_llm.provider import GenerationOptions, LlmProvider, Message
from dialog_providers.untrusted_provider import about
from dialog_telemetry import log_config
from dialog_voice import factory as voices
from dialog_voice.errors import VoiceError
from dialog_voice.factory import VoiceDependencies
from dialog_voice.fallback import FallbackVoice
from dialog_voice.voice import BYTES_PER_MS, Voice

QUESTION: Final = "Say hello to a new viewer, in one short sentence."
SENTENCE: Final = "Hello, 你好, this is how I sound."
CHECK_TIMEOUT_S: Final = 30.0
WRONG_SETTINGS: Final = 2


@dataclass(frozen=True, slots=True)
class ProviderCheck:
    """Result of one provider; `problem` says why there is no output.

    Times are ms from the request, without imports and connecting. `audio_ms` is the length of the
    audio.
    """

    kind: Literal["model", "voice"]
    name: str
    about: str = ""
    configured: bool = True
    first_ms: float | None = None
    total_ms: float | None = None
    said: str = ""
    audio_ms: int | None = None
    problem: str | None = None


async def check_all(settings: EngineSettings) -> AsyncIterator[ProviderCheck]:
    """Check all providers, one after the other."""
    absent = models.unconfigured(settings)
    for name in settings.llm_chain:
        if name in absent:
            yield ProviderCheck("model", name, problem=absent[name])
        else:
            yield await _model(name, lambda name=name: models.build_named(name, settings), settings)  # type: ignore[misc]
    for name in _voices(settings):
        configured = name in settings.voice_chain
        yield await _voice(
            name,
            lambda means, name=name: voices.build_named(name, means),  # type: ignore[misc]
            settings,
            configured=configured,
        )


def _voices(settings: EngineSettings) -> list[str]:
    own_key = ["openai"] if settings.openai_api_key is not None else []
    return list(dict.fromkeys((*settings.voice_chain, "edge", *own_key)))


async def _model(
    name: str, make: Callable[[], LlmProvider], settings: EngineSettings
) -> ProviderCheck:
    what = ""
    chain: FallbackLlm | None = None
    try:
        made = make()
        what, chain = about(made), FallbackLlm.from_providers(made)
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await chain.warm()
            began, first, said = time.monotonic(), None, ""
            options = GenerationOptions(
                max_tokens=settings.llm_max_tokens, temperature=settings.llm_temperature
            )
            async with aclosing(chain.stream([Message("user", QUESTION)], options)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        first = first or time.monotonic()
                        said += piece
        return ProviderCheck(
            "model", name, what, True, _ms(began, first), _ms(began, time.monotonic()), said
        )
    except (LlmError, ValueError, TimeoutError) as error:
        return ProviderCheck("model", name, what, problem=_problem(error))
    finally:
        if chain is not None:
            await chain.aclose()


async def _voice(
    name: str,
    make: Callable[[VoiceDependencies], Voice],
    settings: EngineSettings,
    *,
    configured: bool,
) -> ProviderCheck:
    what = ""
    chain: FallbackVoice | None = None
    try:
        made = make(VoiceDependencies(settings))
        what, chain = about(made), FallbackVoice.from_voices(made)
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await chain.warm()
            began, first, length = time.monotonic(), None, 0
            async with aclosing(chain.synthesize(SENTENCE, "en")) as pieces:
                async for piece in pieces:
                    first = first or time.monotonic()
                    length += len(piece.pcm)
        total = _ms(began, time.monotonic())
        return ProviderCheck(
            "voice",
            name,
            what,
            configured,
            _ms(began, first),
            total,
            SENTENCE,
            length // BYTES_PER_MS,
        )
    except (VoiceError, ValueError, TimeoutError) as error:
        return ProviderCheck("voice", name, what, configured, problem=_problem(error))
    finally:
        if chain is not None:
            await chain.aclose()


def _problem(error: Exception) -> str:
    # The error of the fallback says only that all failed; its cause is the provider's own error.
    cause = error.__cause__ if isinstance(error.__cause__, LlmError | VoiceError) else error
    return str(cause) or f"no output within {CHECK_TIMEOUT_S:.0f} s"


def _ms(began: float, at: float | None) -> float | None:
    return None if at is None else round((at - began) * 1000, 1)


async def _print(settings: EngineSettings) -> None:
    async for trial in check_all(settings):
        sys.stdout.write(json.dumps(asdict(trial), ensure_ascii=False) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Print the results; invalid settings end it with status 2 and one sentence each on stderr."""
    try:
        settings = EngineSettings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            sys.stderr.write(f"{name}: {problem['msg'].removeprefix('Value error, ')}\n")
        sys.exit(WRONG_SETTINGS)
    log_config.configure("trial", "CRITICAL")
    asyncio.run(_print(settings))


if __name__ == "__main__":
    main()
