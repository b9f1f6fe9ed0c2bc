"""ONNX models, each loaded once per process and shared by all microphones."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class OnnxModel(Protocol):
    """The part of onnxruntime.InferenceSession that is used."""

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]], /) -> list[NDArray[np.float32]]:
        """Return all outputs for these inputs; raises ModelFailed."""


def installed() -> bool:
    """Return whether the extra `models` is installed."""
    return find_spec("onnxruntime") is not None


class ModelFailed(Exception):
    """A model could not be loaded or run."""


def load(path: Path) -> OnnxModel:
    """Return a model that uses one core; raises ModelFailed for a file that is not a model."""
    # Imported by name: the package belongs to an extra and is missing where this is type-checked.
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    try:
        session: OnnxModel = runtime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime's errors have no common base class; it raises nothing else here.
    except Exception as error:
        raise ModelFailed(f"{path}: {error}") from error
    return _Loaded(session)


class _Loaded:
    def __init__(self, session: OnnxModel) -> None:
        self._session = session

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]], /) -> list[NDArray[np.float32]]:
        try:
            return self._session.run(names, inputs)
        except Exception as error:
            raise ModelFailed(repr(error)[:200]) from error
