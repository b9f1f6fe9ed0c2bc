"""Models in ONNX: loaded once for the process, and used by all microphones."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class OnnxModel(Protocol):
    """As much of onnxruntime.InferenceSession as is used."""

    def run(self, names: None, inputs: Mapping[str, NDArray[Any]], /) -> list[NDArray[np.float32]]:
        """All outputs for these inputs. Raises ModelFailed."""


def installed() -> bool:
    """Whether the extra `models` is there."""
    return find_spec("onnxruntime") is not None


class ModelFailed(Exception):
    """A model could not be loaded, or gave no answer."""


def load(path: Path) -> OnnxModel:
    """A session that uses one core; it raises ModelFailed, as this does for a file that holds no model."""
    # By its name: the package comes with an extra, and is missing where this is type-checked.
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    try:
        session: OnnxModel = runtime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    # onnxruntime's errors have no base of their own; it raises nothing else here.
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
