"""Detects the language of a text by its script."""

from dialog_contracts.writing_systems import is_cjk


def detect(text: str, default: str) -> str:
    """Return `zh` when CJK characters dominate the text, `en` when letters do, else the default."""
    cjk = sum(1 for char in text if is_cjk(char))
    letters = sum(1 for char in text if char.isascii() and char.isalpha())
    if cjk == letters == 0:
        return default
    # A CJK character carries about as much as three letters; a Chinese sentence with an English
    # name in it stays Chinese.
    return "zh" if cjk * 3 >= letters else "en"
