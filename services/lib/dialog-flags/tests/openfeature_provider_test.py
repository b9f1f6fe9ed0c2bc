import pytest
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError
from openfeature.flag_evaluation import Reason

from dialog_contracts.http import FlagSet
from dialog_contracts.session_document import FlagTable, SessionDocument
from dialog_flags.flag_documents import FlagDocuments
from dialog_flags.openfeature_provider import GENERATION, DocumentProvider

ON = FlagSet(SYNC_TTS_STREAMING=True, generation=7)


@pytest.fixture
def provider() -> DocumentProvider:
    documents = FlagDocuments()
    own = SessionDocument(session_id="live-001", flags=ON, resource="ns/live-001")
    documents.replace(FlagTable(revision=1, documents=[own]), "redis")
    return DocumentProvider(documents, FlagSet(ENABLE_LTM=True))


def test_the_targeting_key_is_the_session_and_the_reason_says_which_source_decided(
    provider: DocumentProvider,
) -> None:
    own = provider.resolve_boolean_details(
        "SYNC_TTS_STREAMING", False, EvaluationContext("live-001")
    )
    assert (own.value, own.reason, own.variant) == (True, Reason.TARGETING_MATCH, "on")
    assert own.flag_metadata == {GENERATION: 7, "document": "live-001"}
    for context in (EvaluationContext("live-002"), None):
        other = provider.resolve_boolean_details("SYNC_TTS_STREAMING", True, context)
        assert (other.value, other.reason, other.variant) == (False, Reason.DEFAULT, "off")


def test_a_name_that_is_no_flag_and_a_type_that_no_flag_has_are_refused_by_name(
    provider: DocumentProvider,
) -> None:
    with pytest.raises(FlagNotFoundError, match="ENABLE_EVERYTHING is none of ENABLE_SYNC_CORE"):
        provider.resolve_boolean_details("ENABLE_EVERYTHING", False)
    with pytest.raises(FlagNotFoundError, match="ENABLE_LTM: all flags are booleans"):
        provider.resolve_string_details("ENABLE_LTM", "")
    with pytest.raises(FlagNotFoundError, match="all flags are booleans"):
        provider.resolve_integer_details("ENABLE_LTM", 0)
    with pytest.raises(FlagNotFoundError, match="all flags are booleans"):
        provider.resolve_float_details("ENABLE_LTM", 0.0)
    with pytest.raises(FlagNotFoundError, match="all flags are booleans"):
        provider.resolve_object_details("ENABLE_LTM", {})
    assert provider.get_metadata().name == "vtuber-session-documents"
