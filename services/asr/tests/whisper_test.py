"""The recognizer against a stand-in for the model: faster-whisper itself is an extra."""

import asyncio
import sys
import threading
import types
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from asr import app, whisper
from asr.decoder import RATE, Samples
from asr.recognizer import NullRecognizer
from asr.settings import AsrSettings
from asr.whisper import WhisperRecognizer


class Tokenizer:
    eot = 1_000

    def __init__(self, tokenizer: object, multilingual: bool, *, task: str, language: str) -> None:
        assert (multilingual, task) == (True, "transcribe")
        self.language = language

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, tokens: list[int]) -> str:
        return "".join(chr(token) for token in tokens)


class Model:
    """As much of faster_whisper.WhisperModel as is used.

    `says` is what a short window is taken for.
    """

    made: ClassVar[list["Model"]] = []
    max_length = 448
    hf_tokenizer = None

    def __init__(self, folder: str, **options: Any) -> None:
        self.folder, self.options = folder, options
        self.asked: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.windows: list[int] = []
        self.short: list[dict[str, Any]] = []
        self.says, self.score, self.no_speech = "hello", -0.2, 0.1
        self.model = types.SimpleNamespace(
            detect_language=lambda encoded: [[("<|ja|>", 0.6), ("<|zh|>", 0.1), ("<|en|>", 0.3)]],
            generate=self._generate,
        )
        self._guard = threading.Lock()
        Model.made.append(self)

    def feature_extractor(self, window: Samples, *, padding: int) -> Samples:
        assert padding == 0
        self.windows.append(len(window))
        return window

    def encode(self, features: Samples) -> Samples:
        return features

    def get_prompt(
        self, tokenizer: Tokenizer, before: list[int], *, without_timestamps: bool
    ) -> list[int]:
        assert without_timestamps
        return [*before, *tokenizer.encode(f"<{tokenizer.language}>")]

    def _generate(self, encoded: Samples, prompts: list[list[int]], **options: Any) -> list[Any]:
        self.short.append({"prompt": "".join(map(chr, prompts[0])), **options})
        tokens = [*map(ord, self.says)][: options["max_length"] - len(prompts[0])]
        return [
            types.SimpleNamespace(
                sequences_ids=[[*tokens, 1_005]], scores=[self.score], no_speech_prob=self.no_speech
            )
        ]

    def detect_language(self, samples: Samples) -> tuple[str, float, list[tuple[str, float]]]:
        return "ja", 0.6, [("ja", 0.6), ("zh", 0.3), ("en", 0.1)]

    def transcribe(self, samples: Samples, **options: Any) -> tuple[Iterator[Any], object]:
        with self._guard:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.asked.append(options)
        segments = [types.SimpleNamespace(text=" 今晚"), types.SimpleNamespace(text="玩什么 ")]
        with self._guard:
            self.at_once -= 1
        return iter(segments), object()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> type[Model]:
    Model.made.clear()
    module: Any = types.ModuleType("faster_whisper")
    module.WhisperModel = Model
    tokenizer: Any = types.ModuleType("faster_whisper.tokenizer")
    tokenizer.Tokenizer = Tokenizer
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    monkeypatch.setitem(sys.modules, "faster_whisper.tokenizer", tokenizer)
    return Model


async def test_the_model_is_loaded_once_and_warm_and_hears_one_at_a_time(
    model: type[Model], tmp_path: Path
) -> None:
    recognizer = WhisperRecognizer(tmp_path / "whisper-base", 2)
    assert recognizer.name == "whisper:whisper-base"
    await recognizer.warm()
    loaded = model.made[0]
    assert loaded.options["local_files_only"] is True
    assert loaded.options["compute_type"] == "int8"
    second = np.zeros(RATE, np.float32)
    heard = await asyncio.gather(*(recognizer.transcribe(second, "zh") for _ in range(4)))
    assert [one.text for one in heard] == ["今晚玩什么"] * 4
    assert loaded.most_at_once == 1
    assert len(model.made) == 1


@pytest.mark.parametrize(
    ("asked", "used"), [("zh-CN", "zh"), ("en", "en"), ("fr", "zh"), (None, "zh")]
)
async def test_only_chinese_and_english_are_heard(
    model: type[Model], tmp_path: Path, asked: str | None, used: str
) -> None:
    recognizer = WhisperRecognizer(tmp_path, 2)
    await recognizer.warm()
    heard = await recognizer.transcribe(np.zeros(RATE, np.float32), asked)
    assert heard.lang == used
    assert model.made[0].asked[-1]["language"] == used


@pytest.fixture
async def warm(
    model: type[Model], tmp_path: Path
) -> AsyncIterator[tuple[WhisperRecognizer, Model]]:
    recognizer = WhisperRecognizer(tmp_path, 2)
    await recognizer.warm()
    loaded = model.made[0]
    loaded.windows.clear()
    loaded.short.clear()
    loaded.asked.clear()
    yield recognizer, loaded
    await recognizer.aclose()


Warm = tuple[WhisperRecognizer, Model]


@pytest.mark.parametrize(("seconds", "window"), [(0.5, 10), (8, 10), (12, 14), (29, 30), (30, 30)])
async def test_an_utterance_is_heard_in_a_window_that_is_hardly_longer(
    warm: Warm, seconds: float, window: int
) -> None:
    recognizer, model = warm
    heard = await recognizer.transcribe_utterance(
        np.zeros(int(seconds * RATE), np.float32), "en-GB"
    )
    assert (heard.text, heard.lang) == ("hello", "en")
    assert model.windows == [window * RATE]
    assert (model.short[0]["prompt"], model.short[0]["beam_size"]) == ("<en>", 1)
    assert model.asked == []


@pytest.mark.parametrize(("asked", "used"), [("zh", "zh"), (None, "en"), ("fr", "en")])
async def test_its_language_is_found_on_the_same_window(
    warm: Warm, asked: str | None, used: str
) -> None:
    recognizer, model = warm
    assert (await recognizer.transcribe_utterance(np.zeros(RATE, np.float32), asked)).lang == used
    assert model.short[0]["prompt"] == {"zh": f" {whisper.PROMPTS['zh']}<zh>", "en": "<en>"}[used]


@pytest.mark.parametrize(
    ("says", "score", "no_speech"), [("", -0.1, 0.0), ("Thank you.", -0.9, 0.7)]
)
async def test_words_that_were_made_up_are_none(
    warm: Warm, says: str, score: float, no_speech: float
) -> None:
    recognizer, model = warm
    model.says, model.score, model.no_speech = says, score, no_speech
    assert (await recognizer.transcribe_utterance(np.zeros(RATE, np.float32), "en")).text == ""


async def test_the_prompt_that_comes_back_is_no_word(warm: Warm) -> None:
    recognizer, model = warm
    model.says = whisper.PROMPTS["zh"]
    assert (await recognizer.transcribe_utterance(np.zeros(RATE, np.float32), "zh")).text == ""


@pytest.mark.parametrize("says", ["sing " * 40, "Can you sing? " * 12])
async def test_a_loop_is_heard_again_the_long_way_and_never_told_before(
    warm: Warm, says: str
) -> None:
    recognizer, model = warm
    model.says = says
    sound = np.zeros(20 * RATE, np.float32)
    assert await recognizer.interim(sound, "en", thorough=True) is None
    assert (await recognizer.transcribe_utterance(sound, "en")).text == "今晚玩什么"
    assert len(model.asked) == 1


async def test_a_look_waits_for_nobody(warm: Warm) -> None:
    recognizer, model = warm
    second = np.zeros(RATE, np.float32)
    heard, seen = await asyncio.gather(
        recognizer.transcribe(second, "en"), recognizer.interim(second, "en", thorough=True)
    )
    assert (heard.text, seen) == ("今晚玩什么", None)
    looked = await recognizer.interim(second, "en", thorough=False)
    assert looked is not None
    assert looked.text == "hello"
    assert model.windows[-1] == 6 * RATE, "a look in the middle is quick"


def test_the_model_is_chosen_only_where_all_of_it_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(whisper, "installed", lambda: True)
    assert isinstance(app.choose(AsrSettings(whisper_model=tmp_path)), WhisperRecognizer)
    assert isinstance(app.choose(AsrSettings(whisper_model=tmp_path / "none")), NullRecognizer)
    assert isinstance(app.choose(AsrSettings(whisper_model=None)), NullRecognizer)
    assert isinstance(app.choose(AsrSettings(models_dir=tmp_path)), NullRecognizer)
    (tmp_path / "whisper-base").mkdir()
    assert app.choose(AsrSettings(models_dir=tmp_path)).name == "whisper:whisper-base"
    (tmp_path / "small").mkdir()
    assert (
        app.choose(AsrSettings(models_dir=tmp_path, whisper_model=tmp_path / "small")).name
        == "whisper:small"
    )
    monkeypatch.setattr(whisper, "installed", lambda: False)
    assert isinstance(app.choose(AsrSettings(whisper_model=tmp_path)), NullRecognizer)
