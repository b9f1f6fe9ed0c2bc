from dialog_contracts.http import FlagSet
from dialog_flags.unsupported import not_served, unsupported

DEFAULT = FlagSet()


def test_flags_of_parts_that_do_not_exist_yet_are_named_with_the_reason() -> None:
    found = unsupported(
        [DEFAULT, FlagSet(ENABLE_STREAMS_OUTBOX=True, ENABLE_LTM=True)], legacy=True
    )
    assert list(found) == ["ENABLE_LTM"]
    assert "nothing is recalled" in found["ENABLE_LTM"]


def test_what_a_pod_tells_the_operator_are_flags_that_it_cannot_have_on() -> None:
    assert set(not_served()) == {"ENABLE_LTM"}


def test_what_needs_the_legacy_pipeline_is_named_only_where_it_does_not_run() -> None:
    flags = [FlagSet(ENABLE_SYNC_CORE=False, SYNC_TTS_STREAMING=False)]
    assert unsupported(flags, legacy=True) == {}
    assert set(unsupported(flags, legacy=False)) == {"ENABLE_SYNC_CORE", "SYNC_TTS_STREAMING"}


def test_flags_that_are_served_are_not_named() -> None:
    served = FlagSet(SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True, ENABLE_STREAMS_OUTBOX=True)
    assert unsupported([served], legacy=False) == {}
    assert unsupported([], legacy=False) == {}
