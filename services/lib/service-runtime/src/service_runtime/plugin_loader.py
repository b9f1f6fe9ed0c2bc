"""Plug-ins of a user, named `package.module:factory` in a setting."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any


def load_factory(name: str, setting: str) -> Callable[[], Any]:
    """Return the factory with this name; raises ValueError, which names the setting, on failure."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(
            f"{setting}: {name!r} is not known; write package.module:factory for one of your own"
        )
    try:
        factory: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    # The boundary to plug-ins: importing a module may raise anything.
    except Exception as error:
        raise ValueError(f"{setting}: {name!r} cannot be loaded: {_describe(error)}") from error
    if not callable(factory):
        raise ValueError(f"{setting}: {name!r} is no factory: it cannot be called")
    return factory


def make(name: str, setting: str, needs: Sequence[str]) -> Any:
    """Return what the factory with this name creates.

    Raises ValueError, which names the setting, when the factory cannot be loaded, fails, or returns
    an object that lacks one of the methods in `needs`.
    """
    factory = load_factory(name, setting)
    try:
        made = factory()
    # The boundary to plug-ins.
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
