"""Parts that a user brings along, named `package.module:factory` in a setting."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any


def load_factory(name: str, setting: str) -> Callable[[], Any]:
    """The factory of that name; raises ValueError, which names the setting, where there is none."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(
            f"{setting}: {name!r} is not known; write package.module:factory for one of your own"
        )
    try:
        factory: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    # The border to plug-ins: a module may raise anything while it is loaded.
    except Exception as error:
        raise ValueError(f"{setting}: {name!r} cannot be loaded: {_describe(error)}") from error
    if not callable(factory):
        raise ValueError(f"{setting}: {name!r} is no factory: it cannot be called")
    return factory


def make(name: str, setting: str, needs: Sequence[str]) -> Any:
    """What the factory of that name makes; raises ValueError, which names the setting, where it makes nothing with these methods."""
    factory = load_factory(name, setting)
    try:
        made = factory()
    # The border to plug-ins.
    except Exception as error:
        raise ValueError(f"{setting}: {name!r} cannot be made: {_describe(error)}") from error
    lacking = [need for need in needs if not callable(getattr(made, need, None))]
    if lacking:
        raise ValueError(
            f"{setting}: {name!r} makes a {type(made).__name__}, which has no {' and no '.join(lacking)}"
        )
    return made


def _describe(error: Exception) -> str:
    return (
        str(error)
        if isinstance(error, ImportError | AttributeError)
        else f"{type(error).__name__} {error}".strip()
    )
