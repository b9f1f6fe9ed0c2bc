from itertools import product

import pytest

from dialog_contracts.http import FlagSet
from dialog_flags.flags import (
    REQUIRES,
    FixedFlags,
    Flag,
    IllegalFlags,
    dependents_of,
    requirements_of,
    validate,
)
from dialog_flags.unsupported import unsupported


def test_flag_names_are_the_fields_of_the_wire_model_and_nothing_else() -> None:
    assert set(Flag) == set(FlagSet.model_fields) - {"generation", "document"}


def test_defaults_are_the_designs_table() -> None:
    assert FlagSet().model_dump(exclude={"generation", "document"}) == {
        "ENABLE_SYNC_CORE": True,
        "SYNC_TTS_STREAMING": False,
        "SYNC_TTS_BARGE_IN": False,
        "ENABLE_STREAMS_OUTBOX": False,
        "ENABLE_LTM": False,
    }


@pytest.mark.parametrize("values", list(product([False, True], repeat=5)))
def test_a_combination_is_illegal_exactly_when_a_needed_flag_is_off(
    values: tuple[bool, ...],
) -> None:
    flags = FlagSet(**dict(zip(Flag, values, strict=True)))
    missing = [
        (flag, need)
        for flag, need in REQUIRES.items()
        if getattr(flags, flag) and not getattr(flags, need)
    ]
    assert len(validate(flags)) == len(missing)
    for (flag, need), sentence in zip(missing, validate(flags), strict=True):
        assert flag in sentence
        assert need in sentence


def test_an_illegal_environment_is_refused_by_name() -> None:
    with pytest.raises(IllegalFlags, match="SYNC_TTS_BARGE_IN is on but needs SYNC_TTS_STREAMING"):
        FixedFlags(FlagSet(SYNC_TTS_BARGE_IN=True))


def test_what_is_not_built_is_said() -> None:
    all_on = FlagSet(
        SYNC_TTS_STREAMING=True, SYNC_TTS_BARGE_IN=True, ENABLE_STREAMS_OUTBOX=True, ENABLE_LTM=True
    )
    assert set(unsupported([all_on], legacy=True)) == {"ENABLE_LTM"}
    off = FlagSet(ENABLE_SYNC_CORE=False)
    assert unsupported([off], legacy=True) == {}
    assert set(unsupported([off], legacy=False)) == {"ENABLE_SYNC_CORE", "SYNC_TTS_STREAMING"}


@pytest.mark.parametrize("flag", list(Flag))
def test_a_flag_with_all_it_needs_is_legal_and_so_is_everything_on_but_it_and_its_dependents(
    flag: Flag,
) -> None:
    off = dict.fromkeys(Flag, False)
    assert validate(FlagSet(**{**off, **dict.fromkeys([*requirements_of(flag), flag], True)})) == []
    assert (
        validate(
            FlagSet(
                **{
                    **dict.fromkeys(Flag, True),
                    **dict.fromkeys([*dependents_of(flag), flag], False),
                }
            )
        )
        == []
    )
    for needed in requirements_of(flag):
        assert flag in dependents_of(needed)


def test_the_way_back_from_the_core_takes_everything_with_it() -> None:
    assert set(dependents_of(Flag.ENABLE_SYNC_CORE)) == set(Flag) - {Flag.ENABLE_SYNC_CORE}
    assert dependents_of(Flag.SYNC_TTS_BARGE_IN) == []
    assert requirements_of(Flag.ENABLE_LTM) == [Flag.ENABLE_SYNC_CORE, Flag.ENABLE_STREAMS_OUTBOX]
