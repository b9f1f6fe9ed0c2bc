"""The recognizer against a stand-in for the model: faster-whisper itself is an extra."""

import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from asr import app, whisper
from asr.decoder import RATE, Samples
from asr.recognizer import FakeRecognizer
from asr.settings import AsrSettings
from asr.whisper import WhisperRecognizer


class Model:
    """As much of faster_whisper.WhisperModel as is used."""

    made: ClassVar[list["Model"]] = []

    def __init__(self, folder: str, **options: Any) -> None:
        self.folder, self.options = folder, options
        self.asked: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self._guard = threading.Lock()
        Model.made.append(self)

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
    monkeypatch.setitem(sys.modules, "faster_whisper", module)
    return Model


async def test_the_model_is_loaded_once_and_warm_and_hears_one_at_a_time(model: type[Model], tmp_path: Path) -> None:
    recognizer = WhisperRecognizer(tmp_path / "whisper-base", 2)
    assert recognizer.name == "whisper:whisper-base"
    await recognizer.warm()
    loaded = model.made[0]
    assert loaded.options["local_files_only"] is True
    assert loaded.options["compute_type"] == "int8"
    second = np.zeros(RATE, np.float32)
    heard = await asyncio.gather(*(recognizer.hear(second, "zh") for _ in range(4)))
    assert [one.text for one in heard] == ["今晚玩什么"] * 4
    assert loaded.most_at_once == 1
    assert len(model.made) == 1


@pytest.mark.parametrize(("asked", "used"), [("zh-CN", "zh"), ("en", "en"), ("fr", "zh"), (None, "zh")])
async def test_only_chinese_and_english_are_heard(model: type[Model], tmp_path: Path, asked: str | None, used: str) -> None:
    recognizer = WhisperRecognizer(tmp_path, 2)
    await recognizer.warm()
    heard = await recognizer.hear(np.zeros(RATE, np.float32), asked)
    assert heard.lang == used
    assert model.made[0].asked[-1]["language"] == used


def test_the_model_is_chosen_only_where_all_of_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(whisper, "installed", lambda: True)
    assert isinstance(app.choose(AsrSettings(whisper_model=tmp_path)), WhisperRecognizer)
    assert isinstance(app.choose(AsrSettings(whisper_model=tmp_path / "none")), FakeRecognizer)
    assert isinstance(app.choose(AsrSettings(whisper_model=None)), FakeRecognizer)
    monkeypatch.setattr(whisper, "installed", lambda: False)
    assert isinstance(app.choose(AsrSettings(whisper_model=tmp_path)), FakeRecognizer)
