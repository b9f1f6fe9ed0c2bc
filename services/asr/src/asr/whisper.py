"""Whisper through faster-whisper (CTranslate2), for Chinese and English."""

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from asr.decoder import RATE, Samples
from asr.recognizer import Heard

LANGUAGES: Final = ("zh", "en")
PROMPTS: Final = {"zh": "以下是普通话的句子。"}
"""Turns the model's Chinese towards simplified characters and punctuation."""


def installed() -> bool:
    """Whether the extra `whisper` is there."""
    return find_spec("faster_whisper") is not None


class WhisperRecognizer:
    """Loaded by `warm`; raises what faster-whisper raises for a folder that holds no model. Recordings are heard one at a time."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.name = f"whisper:{folder.name}"
        self._folder, self._threads = folder, threads
        self._model: Any = None
        self._hearing = asyncio.Lock()

    async def warm(self) -> None:
        """Load the model and hear a second of silence: the first call is slower than all others."""
        await asyncio.to_thread(self._load)

    async def hear(self, samples: Samples, lang: str | None) -> Heard:
        """The words; a language that is neither Chinese nor English is taken for the likelier of the two."""
        known = next((name for name in LANGUAGES if (lang or "").startswith(name)), None)
        async with self._hearing:
            return await asyncio.to_thread(self._hear, samples, known)

    def _load(self) -> None:
        from faster_whisper import WhisperModel

        self._model = WhisperModel(
            str(self._folder), device="cpu", compute_type="int8", cpu_threads=self._threads, local_files_only=True
        )
        self._hear(np.zeros(RATE, np.float32), "en")

    def _hear(self, samples: Samples, lang: str | None) -> Heard:
        if lang is None:
            _, _, chances = self._model.detect_language(samples)
            of = dict(chances)
            lang = max(LANGUAGES, key=lambda name: of.get(name, 0.0))
        segments, _ = self._model.transcribe(
            samples,
            language=lang,
            beam_size=1,
            best_of=1,
            # More tries at what cannot be understood made half a minute of five seconds, and the text no better.
            temperature=(0.0, 0.4),
            condition_on_previous_text=False,
            initial_prompt=PROMPTS.get(lang),
            vad_filter=True,
        )
        return Heard("".join(segment.text for segment in segments).strip(), lang)
