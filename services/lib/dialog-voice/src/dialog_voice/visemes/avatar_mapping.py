"""Maps Oculus-15 visemes to VRM 1.0 expressions and ARKit blend shapes."""

from collections.abc import Mapping
from typing import Final

from dialog_contracts.visemes import VISEMES

VRM_NAMES: Final = ("aa", "ih", "ou", "ee", "oh")

VRM: Final[Mapping[str, Mapping[str, float]]] = {
    "sil": {},
    # VRM has no closed lips: a mouth at rest is the nearest.
    "PP": {},
    "FF": {"ih": 0.15},
    "TH": {"ih": 0.25, "aa": 0.1},
    "DD": {"ih": 0.3, "aa": 0.1},
    "kk": {"aa": 0.25, "ee": 0.1},
    "CH": {"ou": 0.4, "ih": 0.15},
    "SS": {"ih": 0.35},
    "nn": {"ih": 0.25, "aa": 0.1},
    "RR": {"ou": 0.25, "oh": 0.15},
    "aa": {"aa": 1.0},
    "E": {"ee": 0.8, "aa": 0.15},
    "ih": {"ih": 1.0},
    "oh": {"oh": 1.0},
    "ou": {"ou": 1.0},
}
"""Weights of the five VRM mouth expressions for each viseme at weight 1."""

ARKIT: Final[Mapping[str, Mapping[str, float]]] = {
    "sil": {},
    "PP": {
        "mouthClose": 0.1,
        "mouthPressLeft": 0.55,
        "mouthPressRight": 0.55,
        "mouthRollLower": 0.3,
        "mouthRollUpper": 0.3,
    },
    "FF": {
        "jawOpen": 0.08,
        "mouthRollLower": 0.6,
        "mouthUpperUpLeft": 0.3,
        "mouthUpperUpRight": 0.3,
    },
    "TH": {
        "jawOpen": 0.15,
        "tongueOut": 0.35,
        "mouthLowerDownLeft": 0.2,
        "mouthLowerDownRight": 0.2,
    },
    "DD": {"jawOpen": 0.15, "mouthLowerDownLeft": 0.3, "mouthLowerDownRight": 0.3},
    "kk": {"jawOpen": 0.25, "mouthStretchLeft": 0.15, "mouthStretchRight": 0.15},
    "CH": {"jawOpen": 0.12, "mouthFunnel": 0.6, "mouthShrugUpper": 0.2},
    "SS": {
        "jawOpen": 0.05,
        "mouthStretchLeft": 0.35,
        "mouthStretchRight": 0.35,
        "mouthSmileLeft": 0.15,
        "mouthSmileRight": 0.15,
    },
    "nn": {"jawOpen": 0.15, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
    "RR": {"jawOpen": 0.15, "mouthFunnel": 0.35, "mouthPucker": 0.15},
    "aa": {"jawOpen": 0.7, "mouthLowerDownLeft": 0.2, "mouthLowerDownRight": 0.2},
    "E": {
        "jawOpen": 0.35,
        "mouthStretchLeft": 0.3,
        "mouthStretchRight": 0.3,
        "mouthSmileLeft": 0.2,
        "mouthSmileRight": 0.2,
    },
    "ih": {
        "jawOpen": 0.2,
        "mouthSmileLeft": 0.4,
        "mouthSmileRight": 0.4,
        "mouthStretchLeft": 0.2,
        "mouthStretchRight": 0.2,
    },
    "oh": {"jawOpen": 0.45, "mouthFunnel": 0.55},
    "ou": {"jawOpen": 0.2, "mouthPucker": 0.8, "mouthFunnel": 0.2},
}
"""Weights of ARKit's blend shapes for each viseme at weight 1."""

assert set(VRM) == set(ARKIT) == set(VISEMES)


def to_vrm(weights: Mapping[str, float]) -> dict[str, float]:
    """Return VRM 1.0 expression weights (all five, 0..1) for Oculus-15 `weights`.

    Raises KeyError for another name.
    """
    mixed = dict.fromkeys(VRM_NAMES, 0.0)
    mixed.update(_mix(weights, VRM))
    return mixed


def to_arkit(weights: Mapping[str, float]) -> dict[str, float]:
    """Return ARKit blend shape weights (0..1; missing ones are 0) for Oculus-15 `weights`.

    Raises KeyError for another name.
    """
    return _mix(weights, ARKIT)


def _mix(
    weights: Mapping[str, float], table: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    mixed: dict[str, float] = {}
    for viseme, weight in weights.items():
        for name, share in table[viseme].items():
            mixed[name] = min(1.0, mixed.get(name, 0.0) + share * weight)
    return mixed
