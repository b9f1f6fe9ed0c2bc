"""Maps phonemes in IPA, as espeak-ng names them for English and Mandarin, to mouth shapes.

A viseme shows lips, teeth and tongue, so sounds that differ only in voice, breath or tone share
one. Tones, stress marks and lengths have no shapes; stress only opens the mouth further.
"""

from collections.abc import Mapping
from typing import Final

Weights = Mapping[str, float]

SILENCE: Final[Weights] = {"sil": 1.0}

_CONSONANTS: Final[dict[str, Weights]] = {
    **dict.fromkeys("pbm", {"PP": 1.0}),
    **dict.fromkeys("fvɱ", {"FF": 1.0}),
    **dict.fromkeys("θð", {"TH": 0.9}),
    **dict.fromkeys("tdɗʈɖ", {"DD": 0.9}),
    **dict.fromkeys("kgɡcɟqx", {"kk": 0.9}),
    **dict.fromkeys("χɣħ", {"kk": 0.7, "aa": 0.15}),
    **dict.fromkeys("ʃʒɕʑʂʐç", {"CH": 0.9}),
    **dict.fromkeys("sz", {"SS": 0.9}),
    **dict.fromkeys("nlɫɭɳɲʎ", {"nn": 0.9}),
    "ŋ": {"nn": 0.5, "kk": 0.4},
    **dict.fromkeys("ɹrɾɻʀʁɽ", {"RR": 0.8}),
    **dict.fromkeys("hɦʔ", {"aa": 0.2}),
    **dict.fromkeys("wʍɥ", {"ou": 0.8}),
    "j": {"ih": 0.7},
    "tʃ": {"CH": 1.0},
    "dʒ": {"CH": 1.0},
    "tɕ": {"CH": 0.9},
    "dʑ": {"CH": 0.9},
    "tʂ": {"CH": 0.9},
    "ʈʂ": {"CH": 0.9},
    "ts": {"SS": 0.9},
    "dz": {"SS": 0.9},
}

_VOWELS: Final[dict[str, Weights]] = {
    **dict.fromkeys("aɐɑäæ", {"aa": 1.0}),
    "ʌ": {"aa": 0.8},
    **dict.fromkeys("ɒɔ", {"oh": 0.7, "aa": 0.3}),
    **dict.fromkeys("oɵ", {"oh": 1.0}),
    **dict.fromkeys("uʊɯ", {"ou": 0.9}),
    **dict.fromkeys("eɛ", {"E": 0.9}),
    **dict.fromkeys("əɘ", {"E": 0.4, "aa": 0.3}),
    **dict.fromkeys("ɜɚɝ", {"RR": 0.5, "E": 0.4}),
    **dict.fromkeys("iɪɨᵻ", {"ih": 0.9}),
    # ü: the tongue of i with the lips of u.
    **dict.fromkeys("yʏ", {"ou": 0.6, "ih": 0.4}),
    **dict.fromkeys("øœ", {"ou": 0.4, "E": 0.5}),
    "ɤ": {"oh": 0.4, "E": 0.4},
    # The vowel of 四 and 是, for which espeak writes i. : teeth together, hardly open.
    "i.": {"SS": 0.3, "ih": 0.5},
}

_SHAPES: Final[dict[str, Weights]] = {**_CONSONANTS, **_VOWELS}
_MARKS: Final = frozenset("ːˑʰʲʷˠˤˀ̩̯̥̬̃̚‿͜͡.ˈˌ|‖ -_'`\"^~*#?!,:;()[]0123456789¹²³⁴⁵˥˦˧˨˩↗↘꜀ʼ̪͈̆ˡⁿ‍")
_STRESS: Final = frozenset("ˈˌ")
_UNSTRESSED: Final = 0.8


def shapes_of(ipa: str) -> tuple[list[Weights], list[str]]:
    """Return the mouth shapes of one phoneme in order, and the symbols in it that are unknown.

    A diphthong has two shapes, a pause (an empty phoneme) is [SILENCE], and a phoneme of unknown
    symbols only has none, so that the mouth keeps its shape. `ipa` may be cut in the middle of a
    mark: espeak's events carry eight bytes.
    """
    if not ipa.strip():
        return [SILENCE], []
    if ipa.startswith("("):
        # espeak's note that it changes the language inside a run, such as (en).
        return [], []
    shapes: list[Weights] = []
    unknown: list[str] = []
    stressed = not _STRESS.isdisjoint(ipa)
    position = 0
    while position < len(ipa):
        symbol = ipa[position : position + 2]
        if symbol not in _SHAPES:
            symbol = ipa[position]
        position += len(symbol)
        if symbol == "h" and shapes:
            # The breath behind a consonant (th of 他), which the lips do not show.
            continue
        weights = _SHAPES.get(symbol)
        if weights is None:
            if symbol not in _MARKS:
                unknown.append(symbol)
        elif symbol in _VOWELS and not stressed:
            shapes.append(
                {name: round(weight * _UNSTRESSED, 3) for name, weight in weights.items()}
            )
        else:
            shapes.append(weights)
    return [shape for at, shape in enumerate(shapes) if at == 0 or shape != shapes[at - 1]], unknown
