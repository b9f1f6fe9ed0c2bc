from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import EVERY_SESSION, FlagTable, SessionDocument
from dialog_flags.flag_documents import FlagDocuments


def document(session_id: str, generation: int) -> SessionDocument:
    return SessionDocument(
        session_id=session_id, flags=FlagSet(generation=generation), resource=f"ns/{session_id}"
    )


def test_before_any_document_the_environment_decides() -> None:
    documents, environment = FlagDocuments(), FlagSet(ENABLE_LTM=True)
    assert documents.find("live-001") is None
    assert documents.effective(environment) == [environment]
    assert documents.state() == {
        "origin": "environment",
        "revision": 0,
        "generation": 0,
        "documents": 0,
    }


def test_a_table_replaces_the_one_before_as_a_whole() -> None:
    documents = FlagDocuments()
    documents.replace(FlagTable(revision=1, documents=[document("a", 3), document("b", 9)]), "file")
    documents.replace(FlagTable(revision=2, documents=[document("c", 4)]), "redis")
    assert [each.session_id for each in documents] == ["c"]
    assert documents.find("a") is None
    assert set(documents.by_session_id()) == {"c"}
    assert documents.state() == {
        "origin": "redis",
        "revision": 2,
        "generation": 4,
        "documents": 1,
    }


def test_the_environment_counts_only_where_no_document_covers_every_session() -> None:
    documents, environment = FlagDocuments(), FlagSet(ENABLE_LTM=True)
    documents.replace(FlagTable(revision=1, documents=[document("a", 3)]), "redis")
    assert environment in documents.effective(environment)
    both = [document("a", 3), document(EVERY_SESSION, 5)]
    documents.replace(FlagTable(revision=2, documents=both), "redis")
    assert environment not in documents.effective(environment)
    found = documents.find("b")
    assert found is not None
    assert found.session_id == EVERY_SESSION
