import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.streaming import onnx


class Fail(Exception):
    """onnxruntime's errors have no base of their own."""


class InferenceSession:
    def __init__(self, path: str, *, sess_options: Any, providers: list[str]) -> None:
        assert (sess_options.inter_op_num_threads, sess_options.intra_op_num_threads) == (1, 1)
        assert providers == ["CPUExecutionProvider"]
        if not Path(path).read_bytes():
            raise Fail("protobuf parsing failed")

    def run(self, names: None, inputs: dict[str, Any]) -> list[Any]:
        if "x" not in inputs:
            raise Fail("required inputs are missing")
        return [inputs["x"] + 1]


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("onnxruntime")
    module.SessionOptions = types.SimpleNamespace
    module.InferenceSession = InferenceSession
    monkeypatch.setitem(sys.modules, "onnxruntime", module)


def test_a_model_is_run_and_its_errors_have_one_name(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    session = onnx.load(model)
    assert session.run(None, {"x": np.ones(1, np.float32)}) == [2]
    with pytest.raises(onnx.ModelFailed, match="inputs are missing"):
        session.run(None, {})
    model.write_bytes(b"")
    with pytest.raises(onnx.ModelFailed, match="model.onnx: protobuf"):
        onnx.load(model)
