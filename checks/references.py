"""Writes the reference pages from the code, or checks that they are current.

`python -m checks.references --write` writes `docs/reference/`: settings, metrics, Redis keys and
error codes. `--check`, which `make check` runs, fails when a page differs from what the code says.
"""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prometheus_client.metrics import MetricWrapperBase
from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from dialog_contracts import redis_keys

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "docs/reference"
HEAD: Final = "<!-- Written by `make fmt` from the code. Change the code, not this page. -->\n\n"

SETTINGS: Final = {
    "gateway": "gateway.settings:GatewaySettings",
    "input-handler": "input_handler.settings:InputSettings",
    "dialog-engine": "dialog_engine.settings:EngineSettings",
    "output-handler": "output_handler.settings:OutputSettings",
    "asr": "asr.settings:AsrSettings",
    "memory": "memory.settings:MemorySettings",
    "chat-ai": "chat_ai.settings:ChatSettings",
    "tts": "tts.settings:TtsSettings",
    "long-term-memory": "long_term_memory.settings:LtmSettings",
    "operator": "vtuber_operator.settings:OperatorSettings",
}
METRICS: Final = {"Services": "dialog_telemetry.metrics", "Operator": "vtuber_operator.metrics"}
SOURCES: Final = ("services/*/src", "services/lib/*/src", "operator/src")


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    return {
        "settings.md": settings_page(),
        "metrics.md": metrics_page(),
        "redis-keys.md": redis_page(),
        "error-codes.md": errors_page(),
    }


# Settings.


def settings_page() -> str:
    """List the settings of each service; what several share stands in the first table alone."""
    classes = {service: _class(path) for service, path in SETTINGS.items()}
    origins = {service: _origins(kind) for service, kind in classes.items()}
    shared = [
        kind
        for kind in dict.fromkeys(origin for found in origins.values() for origin in found.values())
        if sum(kind in found.values() for found in origins.values()) > 1
    ]
    parts = [
        HEAD,
        "# Settings\n\nServices read their settings from environment variables. ",
        "An old name is accepted for one release. The chart and `make run` set what a deployment needs.\n",
    ]
    for kind in shared:
        users = [service for service, found in origins.items() if kind in found.values()]
        title = "all services" if len(users) >= len(SETTINGS) - 1 else ", ".join(users)
        parts.append(f"\n## Shared by {title}\n\n")
        parts.append(_settings_table(kind, [n for n, o in _origins(kind).items() if o is kind]))
    for service, kind in classes.items():
        own = [name for name, origin in origins[service].items() if origin not in shared]
        parts.append(f"\n## {service}\n\n")
        parts.append(_settings_table(kind, own) if own else "It has no settings of its own.\n")
    return "".join(parts)


def _class(path: str) -> type[BaseSettings]:
    module, _, name = path.partition(":")
    found: type[BaseSettings] = getattr(importlib.import_module(module), name)
    return found


def _origins(kind: type[BaseSettings]) -> dict[str, type[BaseSettings]]:
    """Return for each field the class that declares it first."""
    found: dict[str, type[BaseSettings]] = {}
    for parent in reversed(kind.__mro__):
        if issubclass(parent, BaseSettings):
            for name in parent.__annotations__:
                if name in kind.model_fields:
                    found.setdefault(name, parent)
    return {name: found[name] for name in kind.model_fields if name in found}


def _settings_table(kind: type[BaseSettings], names: list[str]) -> str:
    docs = _field_docs(kind)
    rows = [
        (
            f"`{_env(name, kind.model_fields[name])}`" + _old(name, kind.model_fields[name]),
            _default(kind.model_fields[name]),
            docs.get(name, ""),
        )
        for name in sorted(names)
    ]
    return _table(("Variable", "Default", "Meaning"), rows)


def _env(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
    return str(first or name).upper()


def _old(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    older = alias.choices[1:] if isinstance(alias, AliasChoices) else []
    return f" (before: {', '.join(f'`{str(one).upper()}`' for one in older)})" if older else ""


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    limits = [
        f"{sign} {getattr(rule, limit):g}"
        for rule in field.metadata
        for limit, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if isinstance(getattr(rule, limit, None), int | float)
    ]
    bounds = f" ({', '.join(limits)})" if limits else ""
    if value is PydanticUndefined:
        return "required" + bounds
    if isinstance(value, tuple | list | frozenset):
        value = ",".join(map(str, value))
    if isinstance(value, bool):
        value = str(value).lower()
    text = "" if value is None else str(getattr(value, "get_secret_value", lambda: value)())
    shown = text if len(text) <= 60 else text[:57] + "…"
    return (f"`{shown}`" if shown else "empty") + bounds


def _field_docs(kind: type[BaseSettings]) -> dict[str, str]:
    """Return the docstrings below the fields, of the class and of those it inherits from."""
    docs: dict[str, str] = {}
    for parent in reversed(kind.__mro__):
        if not issubclass(parent, BaseSettings) or parent is BaseSettings:
            continue
        body = ast.parse(inspect.getsource(parent)).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, following in zip(body.body, body.body[1:], strict=False):
            match field, following:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    docs[name] = inspect.cleandoc(text)
    return docs


# Metrics.


def metrics_page() -> str:
    """List every metric with its type, its labels and its meaning."""
    parts = [
        HEAD,
        "# Metrics\n\nEvery process serves its metrics at `/metrics` in the Prometheus format. ",
        "A session is never a label.\n",
    ]
    for title, path in METRICS.items():
        found = [
            value
            for value in vars(importlib.import_module(path)).values()
            if isinstance(value, MetricWrapperBase)
        ]
        rows = [
            (f"`{_metric_name(one)}`", one._type, _labels(one), one._documentation)
            for one in sorted(found, key=_metric_name)
        ]
        parts.append(f"\n## {title}\n\n{_table(('Metric', 'Type', 'Labels', 'Meaning'), rows)}")
    return "".join(parts)


def _metric_name(metric: MetricWrapperBase) -> str:
    name = str(metric._name)
    return f"{name}_total" if metric._type == "counter" else name


def _labels(metric: MetricWrapperBase) -> str:
    return ", ".join(f"`{name}`" for name in metric._labelnames)


# Redis.


def redis_page() -> str:
    """List every key, list, channel and stream."""
    rows = [
        (f"`{key.name}`", key.type, key.ttl, key.owner, key.meaning)
        for key in sorted(redis_keys.KEYS, key=lambda key: key.name)
    ]
    return (
        HEAD
        + "# Redis keys\n\nNames come from `dialog_contracts.redis_names`, this list from `dialog_contracts.redis_keys`. "
        + "A lifetime counts from the last write. An owner creates the key; after a slash stand others that write it.\n\n"
        + _table(("Name", "Type", "Lifetime", "Owner", "Content"), rows)
    )


# Error codes.


def errors_page() -> str:
    """List every error code that a literal in the code names, with its statuses and sentences."""
    statuses, defaults = _error_classes()
    found: dict[str, tuple[set[str], set[str], set[str]]] = {}
    for path, tree in _sources():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            code = _keyword(call, "code") or defaults.get(name)
            if code is None or not re.fullmatch(r"[a-z][a-z0-9_]*", code):
                continue
            if name not in statuses and name not in FRAMES:
                continue
            status = statuses.get(name) or FRAMES[name]
            kinds, messages, places = found.setdefault(code, (set(), set(), set()))
            kinds.add(status)
            if message := _message(call):
                messages.add(message)
            places.add(path)
    rows = [
        (
            f"`{code}`",
            ", ".join(sorted(kinds)),
            " · ".join(sorted(messages)),
            ", ".join(sorted(places)),
        )
        for code, (kinds, messages, places) in sorted(found.items())
    ]
    return (
        HEAD
        + "# Error codes\n\nA code is stable and for programs; the message is for people and may change. "
        + "HTTP errors are an `ErrorBody`; viewers, clients of `/ws/input` and readers of an event stream get frames.\n\n"
        + _table(("Code", "Where", "Message", "Raised in"), rows)
    )


FRAMES: Final = {
    "ErrorEvent": "event stream",
    "ViewerError": "viewer",
    "InputError": "/ws/input",
    "error_response": "legacy response",
}


def _error_classes() -> tuple[dict[str, str], dict[str, str]]:
    """Return the HTTP status and the default code of each class of ServiceErrors, by its name."""
    statuses: dict[str, str] = {"ServiceError": "500"}
    codes: dict[str, str] = {}
    pending = [
        (node, [base.id for base in node.bases if isinstance(base, ast.Name)])
        for _, tree in _sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    ]
    for _ in range(4):
        for node, bases in pending:
            parent = next((base for base in bases if base in statuses), None)
            if parent is None:
                continue
            own = _class_constants(node)
            statuses[node.name] = str(own.get("status", statuses[parent]))
            code = own.get("default_code", codes.get(parent))
            if code is not None:
                codes[node.name] = str(code)
    return statuses, codes


def _class_constants(node: ast.ClassDef) -> dict[str, object]:
    found: dict[str, object] = {}
    for statement in node.body:
        if not isinstance(statement, ast.Assign):
            continue
        target, value = statement.targets[0], statement.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, constant in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(constant, ast.Constant):
                found[name.id] = constant.value
    return found


def _keyword(call: ast.Call, name: str) -> str | None:
    for keyword in call.keywords:
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return str(keyword.value.value)
    return None


def _message(call: ast.Call) -> str:
    given = next((word.value for word in call.keywords if word.arg == "message"), None)
    text = given if given is not None else (call.args[0] if call.args else None)
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return text.value
    if isinstance(text, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "…" for part in text.values
        )
    return ""


def _sources() -> Iterator[tuple[str, ast.Module]]:
    for pattern in SOURCES:
        for folder in sorted(ROOT.glob(pattern)):
            for path in sorted(folder.rglob("*.py")):
                if "testing" not in path.parts:
                    name = str(path.relative_to(folder).with_suffix("")).replace("/", ".")
                    yield name, ast.parse(path.read_text(encoding="utf-8"))


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    def line(cells: tuple[Any, ...]) -> str:
        texts = (" ".join(str(cell).split()).replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(texts)} |\n"

    return line(head) + line(("---",) * len(head)) + "".join(line(row) for row in rows)


def main() -> None:
    """Write the pages, or compare them; a difference ends with status 1."""
    made = pages()
    if "--write" in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        for name, text in made.items():
            (FOLDER / name).write_text(text, encoding="utf-8")
        return
    stale = [
        name
        for name, text in made.items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text(encoding="utf-8") != text
    ]
    if stale:
        print(f"docs/reference: not as the code says: {', '.join(stale)}. Run `make fmt`.")
        sys.exit(1)


if __name__ == "__main__":
    main()
