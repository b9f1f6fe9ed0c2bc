import pytest

from dialog_contracts.visemes import VISEMES
from dialog_voice.visemes.avatar_mapping import ARKIT, VRM, VRM_NAMES, to_arkit, to_vrm


@pytest.mark.parametrize("viseme", VISEMES)
def test_every_viseme_has_a_face_of_known_names_within_bounds(viseme: str) -> None:
    for table in (VRM, ARKIT):
        assert all(0 < weight <= 1 for weight in table[viseme].values())
    assert set(VRM[viseme]) <= set(VRM_NAMES)
    assert set(to_vrm({viseme: 1.0})) == set(VRM_NAMES)


def test_vowels_are_their_own_expressions() -> None:
    assert to_vrm({"aa": 0.7}) == {"aa": 0.7, "ih": 0, "ou": 0, "ee": 0, "oh": 0}
    assert to_vrm({"E": 1.0})["ee"] == 0.8


def test_silence_is_a_mouth_at_rest() -> None:
    assert set(to_vrm({"sil": 1.0}).values()) == {0}
    assert to_arkit({"sil": 1.0}) == {}


def test_mixtures_add_up_and_stop_at_one() -> None:
    assert to_arkit({"oh": 0.5, "aa": 0.5})["jawOpen"] == pytest.approx(0.575)
    assert to_vrm({"aa": 1.0, "kk": 1.0})["aa"] == 1.0


def test_both_sides_of_the_face_do_the_same() -> None:
    for viseme in VISEMES:
        face = to_arkit({viseme: 1.0})
        assert all(
            face[name] == face[name.replace("Left", "Right")]
            for name in face
            if name.endswith("Left")
        )


def test_a_name_that_is_no_viseme_is_an_error() -> None:
    with pytest.raises(KeyError):
        to_vrm({"AA": 1.0})
