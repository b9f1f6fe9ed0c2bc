"""The mouth shapes on the wire: the fifteen Oculus visemes.

Two names of the seed plan are mapped onto them.
"""

from typing import Final

VISEMES: Final = (
    "sil",
    "PP",
    "FF",
    "TH",
    "DD",
    "kk",
    "CH",
    "SS",
    "nn",
    "RR",
    "aa",
    "E",
    "ih",
    "oh",
    "ou",
)

SEED_NAMES: Final = {"AA": "aa", "M": "PP"}
