from itertools import product

import pytest

from dialog_contracts.http import FlagSet
from dialog_flags.flags import Flag, validate
from vtuber_cli import settings
from vtuber_cli.profile import apply_profile

ALL_ON = {str(flag): "true" for flag in Flag}
LOOKS: dict[str | None, bool] = {
    "true": True,
    "1": True,
    "on": True,
    "false": False,
    "OFF": False,
    "0": False,
    " no": False,
}


def in_force(said: dict[str, str]) -> dict[str, bool]:
    return {
        name: LOOKS[value] for name, value in {**apply_profile(ALL_ON, said)[0], **said}.items()
    }


@pytest.mark.parametrize("values", list(product([None, "off"], repeat=5)))
def test_whatever_a_person_turns_off_the_profile_fits(values: tuple[str | None, ...]) -> None:
    said = {str(flag): "OFF" for flag, value in zip(Flag, values, strict=True) if value is not None}
    assert validate(FlagSet(**in_force(said))) == []
    assert all(in_force(said)[name] is False for name in said)


def test_what_stays_on_stays_on_and_the_sentence_names_what_went() -> None:
    fits, notes = apply_profile(ALL_ON, {"SYNC_TTS_STREAMING": "false"})
    assert (fits["SYNC_TTS_BARGE_IN"], fits["ENABLE_LTM"], fits["ENABLE_SYNC_CORE"]) == (
        "false",
        "true",
        "true",
    )
    assert notes == [
        "SYNC_TTS_STREAMING is off, and so are the flags that need it: SYNC_TTS_BARGE_IN."
    ]
    assert apply_profile(ALL_ON, {"SYNC_TTS_BARGE_IN": "false"})[1] == []


def test_what_a_person_says_of_both_is_left_to_who_refuses_it() -> None:
    fits, _ = apply_profile(ALL_ON, {"ENABLE_SYNC_CORE": "false", "SYNC_TTS_STREAMING": "true"})
    assert fits["SYNC_TTS_STREAMING"] == "true"


@pytest.mark.parametrize("said", ["false", "0", "no", "Off", "F", "n"])
def test_the_run_starts_without_the_core_by_one_variable(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("ENABLE_SYNC_CORE", said)
    loaded = settings.load()
    assert set(loaded.profile) == set(ALL_ON)
    assert {name for name, value in loaded.profile.items() if value == "true"} == {
        "ENABLE_SYNC_CORE"
    }
    assert loaded.inherited["ENABLE_SYNC_CORE"] == said
    assert loaded.notes[0].startswith(
        "ENABLE_SYNC_CORE is off, and so are the flags that need it: SYNC_TTS_STREAMING, SYNC_TTS_BARGE_IN"
    )


def test_so_it_does_by_set(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = settings.load(["input-handler.SYNC_TTS_STREAMING=false"])
    assert loaded.profile["SYNC_TTS_BARGE_IN"] == "false"


def test_an_empty_variable_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNC_TTS_STREAMING", "")
    loaded = settings.load()
    assert "SYNC_TTS_STREAMING" not in loaded.inherited
    assert loaded.profile == ALL_ON
    assert loaded.notes == ()


def test_a_run_in_which_nobody_would_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEGACY_ENABLED", "false")
    monkeypatch.setenv("ENABLE_SYNC_CORE", "false")
    with pytest.raises(ValueError, match="nothing answers: leave one of them on"):
        settings.load()
