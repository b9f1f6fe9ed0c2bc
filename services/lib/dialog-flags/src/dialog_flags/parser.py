"""Parses the flag documents of Redis or of a mounted file into a table.

An invalid document is skipped and reported; the others are used.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from dialog_contracts.session_document import FlagTable, SessionDocument
from dialog_flags.flags import validate

Read = tuple[FlagTable, list[str]]
"""The table, and one sentence for each document that is invalid."""


def from_file(path: Path, before: Mapping[str, SessionDocument]) -> Read | None:
    """Parse the mounted `flags.json`; returns None when the optional file does not exist.

    A session whose document is invalid keeps the one in `before`. Raises ValueError when the file
    cannot be read or is not a table of documents.
    """
    try:
        found = json.loads(path.read_bytes())
        revision, documents = found["revision"], found.get("documents", [])
        names = [document.get("sessionId") for document in documents]
        table = FlagTable(revision=revision)
    except FileNotFoundError:
        return None
    # The error does not repeat the file's content, only which part of it is wrong.
    except OSError as error:
        raise ValueError(f"{path.name}: {type(error).__name__}") from error
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise ValueError(f"{path.name}: it is no table of documents") from None
    fields = [
        (str(name), json.dumps(document).encode())
        for name, document in zip(names, documents, strict=True)
    ]
    return _read(table.revision, fields, before)


def from_hash(
    revision: int, fields: Mapping[bytes, bytes], before: Mapping[str, SessionDocument]
) -> Read:
    """Parse the fields of the Redis hash; an invalid session keeps its document in `before`."""
    return _read(
        revision, [(name.decode("utf-8", "replace"), text) for name, text in fields.items()], before
    )


def _read(
    revision: int, fields: Iterable[tuple[str, bytes]], before: Mapping[str, SessionDocument]
) -> Read:
    documents: list[SessionDocument] = []
    wrong: list[str] = []
    for session_id, text in fields:
        try:
            document = SessionDocument.from_json(text)
            found = validate(document.flags)
            if document.session_id != session_id:
                found = [*found, f"it speaks of {document.session_id}"]
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            found = [f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")]
        if not found:
            documents.append(document)
            continue
        wrong.append(f"{session_id[:100]}: {'; '.join(found)}")
        if session_id in before:
            documents.append(before[session_id])
    return FlagTable(revision=revision, documents=documents), wrong
