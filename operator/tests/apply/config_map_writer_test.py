"""The table fits into a ConfigMap, if need be without what only the engine reads."""

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagTable, Persona, SessionDocument
from vtuber_operator.apply.config_map_writer import table_text


def documents(count: int) -> dict[str, SessionDocument]:
    persona = Persona(instructions="Be brief. " * 30)
    made = [
        SessionDocument(
            session_id=f"s-{n}", flags=FlagSet(generation=n), resource=f"vt/s-{n}", persona=persona
        )
        for n in range(count)
    ]
    return {document.session_id: document for document in made}


def test_the_table_reads_back() -> None:
    text, cut = table_text(7, documents(3))
    assert not cut
    assert FlagTable.from_json(text) == FlagTable(revision=7, documents=list(documents(3).values()))


def test_a_table_that_is_too_large_keeps_the_flags() -> None:
    text, cut = table_text(7, documents(50), limit=12_000)
    assert cut
    assert len(text) < 12_000
    assert [document.persona for document in FlagTable.from_json(text).documents] == [None] * 50
