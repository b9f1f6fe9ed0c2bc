"""The language of a text by its script, where nobody said it."""


def is_cjk(char: str) -> bool:
    """CJK ideographs, kana and hangul: scripts without spaces between words, as far as cutting is concerned."""
    return (
        "\u3040" <= char <= "\u30ff"
        or "\u3400" <= char <= "\u9fff"
        or "\uac00" <= char <= "\ud7af"
        or "\U00020000" <= char <= "\U0003ffff"
    )


def detect(text: str, default: str) -> str:
    """`zh` when hanzi carry the text, `en` when letters do, else the default."""
    cjk = sum(1 for char in text if is_cjk(char))
    letters = sum(1 for char in text if char.isascii() and char.isalpha())
    if cjk == letters == 0:
        return default
    # A hanzi says about as much as three letters; a Chinese sentence with an English name in it stays Chinese.
    return "zh" if cjk * 3 >= letters else "en"
