"""Reads what Redis or a mounted file says into a table; a document that is wrong is left out and named, the others count."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from dialog_contracts.session_document import FlagTable, SessionDocument
from dialog_flags.flags import problems


def from_file(path: Path) -> FlagTable | None:
    """The mounted `flags.json`; None when it is not there (it is optional). Raises ValueError when it cannot be read."""
    try:
        return FlagTable.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def from_hash(revision: int, fields: Mapping[str, str], before: Mapping[str, SessionDocument]) -> tuple[FlagTable, list[str]]:
    """The table that a hash holds, and one sentence for each field that is wrong; such a session keeps its document of before."""
    documents: list[SessionDocument] = []
    wrong: list[str] = []
    for session_id, text in fields.items():
        try:
            document = SessionDocument.from_json(text)
            found = problems(document.flags)
            if document.session_id != session_id:
                found = [*found, f"it speaks of {document.session_id}"]
        except ValidationError as error:
            found = [str(error.errors()[0]["msg"])]
        if not found:
            documents.append(document)
            continue
        wrong.append(f"{session_id}: {'; '.join(found)}")
        if session_id in before:
            documents.append(before[session_id])
    return FlagTable(revision=revision, documents=documents), wrong
