"""Whisper through faster-whisper (CTranslate2), for Chinese and English.

All calls run in one thread, one at a time. An utterance is transcribed in one pass over a window
that is hardly longer than the utterance, which is faster than faster-whisper's own `transcribe`; a
recording uses the latter, segment by segment.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

import numpy as np

from asr.decoder import RATE, Samples
from asr.recognizer import Transcript

A = TypeVarTuple("A")
T = TypeVar("T")

LANGUAGES: Final = ("zh", "en")
PROMPTS: Final = {"zh": "以下是普通话的句子。"}
"""Prompt that makes the model prefer simplified characters and punctuation."""

WINDOW_S: Final = 30
WINDOW_MIN_S: Final = 10
WINDOW_QUICK_S: Final = 6
SILENCE_AFTER_S: Final = 2
"""Lengths of the window in seconds.

Whisper was trained on half a minute. Ten seconds of which two are silence take a third of the work
and are as good; with less, it repeats itself. Six seconds take two thirds of the time of ten, and
some words differ.
"""

TOKENS_PER_SECOND: Final = 12
TOKENS_SPARE: Final = 16
"""Limit of tokens: more are not spoken, but produced by a repetition loop."""

LOOP_RATIO: Final = 2.4
"""Text that zlib compresses by more than this ratio repeats itself."""

NO_SPEECH: Final = 0.6
UNSURE: Final = -0.7
"""Mean log probability of a token.

Below it, and with a probability of no speech above NO_SPEECH, the words are invented.
"""


def installed() -> bool:
    """Return whether the extra `models` is installed."""
    return find_spec("faster_whisper") is not None


class WhisperRecognizer:
    """A Recognizer over a model in `folder`; `warm` loads it.

    `warm` raises what faster-whisper raises for a folder without a model. One call runs at a time:
    a recording runs segment by segment, so that a user who speaks now waits for one segment at
    most.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        self.name = f"whisper:{folder.name}"
        self._folder, self._threads = folder, threads
        self._model: Any = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="whisper")
        self._waiting = 0

    async def warm(self) -> None:
        """Load the model and transcribe a second of silence: the first call is slow."""
        await self._run(self._load)

    async def transcribe(self, samples: Samples, lang: str | None) -> Transcript:
        """Return the words.

        Another language counts as the more likely one of Chinese and English.
        """
        known = _known(lang)
        if known is None:
            known = await self._run(self._language, samples)
        segments = await self._run(self._segments, samples, known)
        texts: list[str] = []
        while (text := await self._run(_next, segments)) is not None:
            texts.append(text)
        return Transcript("".join(texts).strip(), known)

    async def transcribe_utterance(self, samples: Samples, lang: str | None) -> Transcript:
        """Return the words of at most half a minute, faster than `transcribe`.

        If the model repeats itself, `transcribe` is used.
        """
        found = await self._run(self._short, samples, _known(lang), WINDOW_MIN_S)
        return await self.transcribe(samples, lang) if found is None else found

    async def interim(
        self, samples: Samples, lang: str | None, *, thorough: bool
    ) -> Transcript | None:
        """Return the words of an unfinished utterance.

        Returns None while another call runs or waits, or when the model repeats itself.
        """
        if self._waiting:
            return None
        return await self._run(
            self._short, samples, _known(lang), WINDOW_MIN_S if thorough else WINDOW_QUICK_S
        )

    async def aclose(self) -> None:
        """Stop recognizing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[Unpack[A]], T], *given: *A) -> T:
        # One thread and not a lock: a caller that is cancelled leaves a call behind that cannot be
        # stopped.
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)
        finally:
            self._waiting -= 1

    def _load(self) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            str(self._folder),
            device="cpu",
            compute_type="int8",
            cpu_threads=self._threads,
            local_files_only=True,
        )
        for _ in self._segments(np.zeros(RATE, np.float32), "en"):
            pass
        self._short(np.zeros(RATE, np.float32), "en", WINDOW_MIN_S)

    def _language(self, samples: Samples) -> str:
        _, _, chances = self._model.detect_language(samples)
        return _more_likely(dict(chances))

    def _segments(self, samples: Samples, lang: str) -> Iterator[Any]:
        segments, _ = self._model.transcribe(
            samples,
            language=lang,
            beam_size=1,
            best_of=1,
            # More attempts at unintelligible audio took half a minute for five seconds, and the
            # text was not better.
            temperature=(0.0, 0.4),
            condition_on_previous_text=False,
            initial_prompt=PROMPTS.get(lang),
            vad_filter=True,
        )
        return iter(segments)

    def _short(self, samples: Samples, lang: str | None, window_min_s: int) -> Transcript | None:
        """Transcribe in one pass over a window that is hardly longer than the samples.

        Returns None when the model repeats itself.
        """
        seconds = len(samples) / RATE
        window = np.zeros(
            int(min(WINDOW_S, max(window_min_s, seconds + SILENCE_AFTER_S)) * RATE), np.float32
        )
        window[: len(samples)] = samples[: len(window)]
        encoded = self._model.encode(self._model.feature_extractor(window, padding=0))
        if lang is None:
            lang = _more_likely(
                {
                    name.strip("<|>"): chance
                    for name, chance in self._model.model.detect_language(encoded)[0]
                }
            )
        tokenizer = self._tokenizer(lang)
        before = tokenizer.encode(" " + PROMPTS[lang]) if lang in PROMPTS else []
        prompt = self._model.get_prompt(tokenizer, before, without_timestamps=True)
        tokens_max = int(seconds * TOKENS_PER_SECOND) + TOKENS_SPARE
        (result,) = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=min(self._model.max_length, len(prompt) + tokens_max),
            return_scores=True,
            return_no_speech_prob=True,
        )
        tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        text = tokenizer.decode(tokens).strip()
        if (
            not text
            or text == PROMPTS.get(lang)
            or (result.no_speech_prob > NO_SPEECH and result.scores[0] < UNSURE)
        ):
            return Transcript("", lang)
        raw = text.encode()
        looped = len(tokens) >= tokens_max or len(raw) / len(zlib.compress(raw)) > LOOP_RATIO
        return None if looped else Transcript(text, lang)

    def _tokenizer(self, lang: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        return Tokenizer(self._model.hf_tokenizer, True, task="transcribe", language=lang)


def _known(lang: str | None) -> str | None:
    return next((name for name in LANGUAGES if (lang or "").startswith(name)), None)


def _next(segments: Iterator[Any]) -> str | None:
    segment = next(segments, None)
    return None if segment is None else str(segment.text)


def _more_likely(chances: dict[str, float]) -> str:
    return max(LANGUAGES, key=lambda name: chances.get(name, 0.0))
