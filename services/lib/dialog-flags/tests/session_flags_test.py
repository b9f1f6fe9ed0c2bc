from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import EVERY_SESSION, FlagTable, SessionDocument
from dialog_flags.flag_documents import FlagDocuments
from dialog_flags.flags import Flag, IllegalFlags, drop_invalid, validate
from dialog_flags.openfeature_provider import DocumentProvider
from dialog_flags.session_flags import SessionFlags

STREAMING = FlagSet(SYNC_TTS_STREAMING=True, generation=7)
BARGE_IN = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True, generation=8)
ENVIRONMENT = FlagSet(ENABLE_STREAMS_OUTBOX=True)


def document(session_id: str, flags: FlagSet) -> SessionDocument:
    return SessionDocument(session_id=session_id, flags=flags, resource=f"studio/{session_id}")


def source(*documents: SessionDocument) -> SessionFlags:
    table = FlagDocuments()
    table.replace(FlagTable(revision=1, documents=list(documents)), "redis")
    return SessionFlags(DocumentProvider(table, ENVIRONMENT), ENVIRONMENT)


def test_a_session_goes_by_its_own_document_then_by_the_one_for_all_then_by_the_environment() -> (
    None
):
    flags = source(document("live-001", BARGE_IN), document(EVERY_SESSION, STREAMING))
    assert flags.resolve("live-001") == BARGE_IN.model_copy(update={"document": "live-001"})
    assert flags.resolve("live-002") == STREAMING.model_copy(update={"document": "*"})
    assert source(document("live-001", BARGE_IN)).resolve("live-002") == ENVIRONMENT


def test_an_absent_flag_takes_the_tables_default_and_not_another_documents_value() -> None:
    flags = source(document("live-001", FlagSet(generation=9)), document(EVERY_SESSION, BARGE_IN))
    assert flags.resolve("live-001") == FlagSet(generation=9, document="live-001")


def test_a_new_table_counts_from_the_next_turn() -> None:
    table = FlagDocuments()
    flags = SessionFlags(DocumentProvider(table, FlagSet()), FlagSet())
    assert flags.resolve("live-001").generation == 0
    table.replace(FlagTable(revision=2, documents=[document("live-001", STREAMING)]), "redis")
    assert flags.resolve("live-001") == STREAMING.model_copy(update={"document": "live-001"})


def test_an_illegal_environment_is_refused() -> None:
    illegal = FlagSet(SYNC_TTS_BARGE_IN=True)
    with pytest.raises(IllegalFlags, match="needs SYNC_TTS_STREAMING"):
        SessionFlags(DocumentProvider(FlagDocuments(), illegal), illegal)


def test_another_provider_may_take_our_place_and_an_illegal_flag_of_it_counts_as_off() -> None:
    on: InMemoryFlag[Any] = InMemoryFlag("on", {"on": True, "off": False})
    flags = SessionFlags(
        InMemoryProvider({"SYNC_TTS_BARGE_IN": on, "ENABLE_STREAMS_OUTBOX": on}), FlagSet()
    )
    assert flags.resolve("live-001") == FlagSet(ENABLE_STREAMS_OUTBOX=True)


def test_what_is_no_flag_is_said_by_name() -> None:
    provider = DocumentProvider(FlagDocuments(), FlagSet())
    with pytest.raises(FlagNotFoundError, match="SYNC_TTS_STREAMNIG is none of"):
        provider.resolve_boolean_details("SYNC_TTS_STREAMNIG", False, EvaluationContext("live-001"))
    for read in (
        provider.resolve_string_details,
        provider.resolve_integer_details,
        provider.resolve_float_details,
    ):
        with pytest.raises(FlagNotFoundError, match="all flags are booleans"):
            read("ENABLE_LTM", 0)  # type: ignore[arg-type]
    with pytest.raises(FlagNotFoundError, match="all flags are booleans"):
        provider.resolve_object_details("ENABLE_LTM", [])


@given(st.lists(st.booleans(), min_size=5, max_size=5))
def test_the_legal_part_of_any_set_is_legal_and_turns_nothing_on(values: list[bool]) -> None:
    flags = FlagSet(**dict(zip(Flag, values, strict=True)))
    reduced = drop_invalid(flags)
    assert validate(reduced) == []
    assert all(getattr(flags, flag) for flag in Flag if getattr(reduced, flag))
    assert drop_invalid(reduced) == reduced
    if not validate(flags):
        assert reduced == flags
