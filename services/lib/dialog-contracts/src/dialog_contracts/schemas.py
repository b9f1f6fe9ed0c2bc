"""Write or compare the generated files: `python -m dialog_contracts.schemas --write | --check`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from dialog_contracts import asyncapi, openapi
from dialog_contracts.message_catalog import MESSAGES, file_name

FOLDER: Final = Path(__file__).resolve().parents[2] / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def generated() -> dict[str, str]:
    """Return file name → text of every generated file.

    The same models always give the same bytes.
    """
    documents: dict[str, dict[str, Any]] = {
        file_name(message): {"$schema": DIALECT, **message.model_json_schema(by_alias=True)}
        for message in MESSAGES
    }
    documents["asyncapi.json"] = asyncapi.document()
    documents["openapi.json"] = openapi.document()
    return {
        name: json.dumps(made, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
        for name, made in documents.items()
    }


def drift(folder: Path) -> list[str]:
    """Return one sentence for each file that is missing, stale or not generated."""
    wanted = generated()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return [
        f"{name} {'is missing' if name not in there else 'is not as the models are'}"
        for name, text in sorted(wanted.items())
        if there.get(name) != text
    ] + [f"{name} belongs to no message" for name in sorted(there.keys() - wanted.keys())]


def write(folder: Path) -> None:
    """Write every generated file and delete files that belong to no message."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = generated()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Run the command; returns exit status 1 when `--check` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m dialog_contracts.schemas", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="write the files anew")
    what.add_argument(
        "--check", action="store_true", help="say which files are not as the models are"
    )
    if parser.parse_args(arguments).write:
        write(folder)
        return 0
    found = drift(folder)
    for sentence in found:
        sys.stderr.write(f"schemas: {sentence}\n")
    if found:
        sys.stderr.write(
            "Write them anew with `make fmt` (or python -m dialog_contracts.schemas --write) and commit them.\n"
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
