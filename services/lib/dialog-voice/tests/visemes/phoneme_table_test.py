import pytest

from dialog_contracts.visemes import VISEMES
from dialog_voice.visemes.phoneme_table import SILENCE, shapes_of

# Everything that espeak-ng 1.52 was heard to say for all Mandarin syllables and for English
# pangrams.
_INVENTORY = (
    "aɪ b d dʒ f h i iɑ iə iː j k kh l m n n̩ o- p ph s s. t th ts ts. ts.h tsh tɕ tɕh tʃ u ua uː v w z ð ŋ ɐ ɑ ɒ ɕ ə əl ɚ ɡ ɪ ɹ ɾ"
    " ʃ ʐ ʒ ʔ ˈa ˈai ˈaɪ ˈaʊ ˈei ˈeɪ ˈi ˈi. ˈio ˈiou ˈiɑ ˈiɛ ˈiː ˈi̪ ˈo ˈo- ˈonɡ ˈou ˈoʊ ˈu ˈua ˈuai ˈuei ˈuo ˈuə ˈuː ˈy ˈyi ˈyæ ˈyə"
    " ˈyɛ ˈæ ˈɑ ˈɑu ˈɑː ˈɔɪ ˈɔː ˈɔːɹ ˈə ˈər ˈɛ ˈɛɹ ˈɜː ˈɪ ˈɪɹ ˈʊɹ ˈʌ ˌaɪ ˌoʊ θ χ ᵻ"
)


@pytest.mark.parametrize("ipa", _INVENTORY.split())
def test_every_phoneme_of_both_languages_has_shapes(ipa: str) -> None:
    shapes, unknown = shapes_of(ipa)
    assert shapes
    assert unknown == []
    for weights in shapes:
        assert set(weights) <= set(VISEMES)
        assert all(0 < weight <= 1 for weight in weights.values())


def test_lips_close_for_p_b_m_and_teeth_touch_for_f_v() -> None:
    assert [shapes_of(ipa)[0][0] for ipa in "pbm"] == [{"PP": 1.0}] * 3
    assert [shapes_of(ipa)[0][0] for ipa in "fv"] == [{"FF": 1.0}] * 2


def test_a_diphthong_moves_from_its_first_vowel_to_its_second() -> None:
    first, second = shapes_of("ˈaʊ")[0]
    assert first["aa"] == 1.0
    assert second["ou"] > 0.5


def test_stress_opens_the_mouth_further() -> None:
    assert shapes_of("ˈa")[0][0]["aa"] > shapes_of("a")[0][0]["aa"]


def test_pauses_are_silence_and_language_notes_are_nothing() -> None:
    assert shapes_of("") == ([SILENCE], [])
    assert shapes_of("(en)") == ([], [])


def test_an_unknown_phoneme_is_reported_and_moves_nothing() -> None:
    assert shapes_of("ʘ") == ([], ["ʘ"])
    assert shapes_of("ʘa")[1] == ["ʘ"]
    assert len(shapes_of("ʘa")[0]) == 1


def test_breath_behind_a_consonant_is_no_shape_of_its_own() -> None:
    assert shapes_of("th")[0] == shapes_of("t")[0]
    assert shapes_of("h")[0]
