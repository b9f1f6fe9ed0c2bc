"""The language of a text by its script, where nobody said it."""

from dialog_engine.turn.fragments import is_hanzi


def guess(text: str, default: str) -> str:
    """`zh` when hanzi carry the text, `en` when letters do, else the default."""
    hanzi = sum(1 for char in text if is_hanzi(char))
    letters = sum(1 for char in text if char.isascii() and char.isalpha())
    if hanzi == letters == 0:
        return default
    # A hanzi says about as much as three letters; a Chinese sentence with an English name in it stays Chinese.
    return "zh" if hanzi * 3 >= letters else "en"
