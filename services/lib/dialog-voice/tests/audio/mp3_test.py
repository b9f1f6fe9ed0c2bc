import base64

import miniaudio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_voice.audio.mp3 import BadAudio, Mp3Stream
from dialog_voice.testing.edge_server import FRAMES

# Sixteen frames of LAME's (24 kHz, mono, 48 kbit/s) that lean on each other by the bit reservoir,
# all but the first.
_WITH_RESERVOIR = (
    "//NkxAANOALOf0EQAkCFGp0X/Nz6YPygYKHHF3id+clDiwQg+D/hgHwfB9/+XP+c/wx8EDn/h/8v//pyH/v//Lg+AArurZTFsRAApVVvoR3ygF"
    "8aEoqognegSKo16kQJpGOkMhXeEzNHB+GbImMgRAxnx9iqROiviiZZFjEADDhwY7EkZHvyKOSjsThmaFw3//NkxE4uI/qpvZiIAj6kjBaDq1rI"
    "GOkVWpTETLvW5XLDXTMSWNJkkaMiOMjXPFxi4TZiOcUC2jD4zU6ld1XuQQPuam+taF1DYKSbq/r+9Z+rWqtWrW1G053tbVRdjpw0OHzZzd+3/n"
    "0iQMKzdTf/zYsFhjqjQQ6KhJWcqUqANZOKNrCwCIiWL2ZS7JFdS6pX//NkxBgjC162XdmAAozfJP0IOMf1u7v93alGteZGp5MvpstRRD0CYPGI"
    "6QtwLAbpmBoTCBomZIsyjtjEvpnGPqJv1fdauYIGiJiXiDm6nZC6ZNm6BAR0FRAnSAl199lIJpqMS42r/9lLtoW+2137K///v///XWhUxw5AQB"
    "J77yqk1Y4zZc1KADI5f06doLFF//NkxA4fqerSXsmFYgM+kCqPGEKv+Oc2m8BwBGC70FGw4NCXdRJBxtM77MGWSy7Zx/9QE30CY56YC0+rf8Ki"
    "hA8ivW5h38uFECggyK9lIf9TvIHFzCxDzG6eGFkIGHEiyf2ejjKPf9SuhJhfU7s/cK8s8ApNuKBRT28wq51KhZASqApwAMIP2zAD8fdC/xwl//"
    "NkxBIhU2bCfn6OuIV9I9SjKyzhMBwceQT5MAhBqyASMYsRC2UBUMRCKet+Pf/czfx1WT8gerqAQQQfK5XkiclXVPk1+x9TcP5U15G2HgKOaeNQ"
    "dcdb/+uqmiQyKeEj5r6jpehwjEFTb/snpZfYz7+3/////93mXYuiGx1DQkpqiiKDjNkGR2/7P/IYNXzT//NkxA8gO17KVsPO8tFxjrFC/qem6P"
    "EvQ37dW8+3dQ9HkVDobD1DImziQm+o9Face9eOIHHm0hwZEj7bE6+8vY96ag3p6aoAo10URUL2X7X/q+OiINMdMM92Ywbk8mNF//V48r+f/2v/"
    "u35tdtk7at/drO5EmeWQmKjBX9g/2YcIAWEBxDdBf+CPSeVHPrBw//NkxBEgu0q6dsPPEbeJV/ZXtdpMS9zlKiL2vbf0tD1sU9MiiZ6ziAH4cb"
    "HAkHxHw/0dB52nozTf6trefn2l3mmviR//g/ib6vmCL+v1a3pFDOpgrGDH2ashqIoedMHTm6/qx5iZvWi9a17v/79k9qN6NRlMMPOWYPnBpvEO"
    "9owBKR7AkegaU+CoF8wI1T2L//NkxBEda161t09QAJag3PY93kDTUdUb6kNKexODwix+YQC2JxppQG4WnqKwtams/T5pyt5x19HsYF6LRk5Ee9"
    "aKd5E6GOMRNMNW2ld1Gp7JN///ovT/9P/9/T7dHotLOYeeWN2kwbEIcmW3xQyK+u5dspYBFhAAAAgAk6EyVg0cXBhS6DNlkD7S3YL24nW6//Nk"
    "xB4j2k6gfZhoAFE0q6SpIHRxugPAhFxajMmriHG3KyMOd3wdiT4VYomj0qDr09k/r5TelYwJYrWu4+FgsyXUguVDwNkGSYuDWaidkwomRJGJ8T"
    "cuiSi8XzI+XG/8voL/47y+k5PTzh+z8of+1rJf/UwHjhi/yodDpR7CKoaUnpFaSDAg40rcfclSjSSc//NkxBEdQfLKX9hoAle1uLMJ6fyYWHXl"
    "+4pWYhZc6q8zmTV1GazqJiJ6F9PR4hXiULWfGIHMPEgE0JAchLnCQPlx0FmZmkgnQL//1LPIrrFmSy61Ep1q2QID8wW38z1zpb/X2qPhNlIuZ/"
    "//5sm626uqhibZ2IBDJ7i9PUfSib5ECN4Plx8c3RaZzbHHjNGc//NkxB8cYfLaXMrLZmg2wOQ1gAGIGOA7nH1berytATZq8tjK+Wg41Z5JZgNI"
    "7ewscbAyGlLLIZVOOu1bT5fbIj98Q0P4Oz7KOBOIt//Qf0E/+In8f//////1SEqUEK7aihhd0UhQIEE/qT6Yy5FKy65NOX2AYXBDK+bgXYIQs6"
    "gpaiE8mC2J9ex5WrX/cg78//NkxDAca1LeXsJPYj+TuqnZpXV6GX8UONfCYszDeLKQanPVX4lsFfTqCj2HQVnbe/b8h1dv6ml/f///////////"
    "/stqlVNoSC7QEh43TWYqVNQZC1mv/GfmVGHlWTCY+gG+KqjZWwzu8doSoEznsywOBaZrViYVq7IATByqG38Fu0CZbxfyqO5qP/xv4Aov//NkxE"
    "Eci1LWVsHFHm1a6X/5N+O+uqEQ9zK//+JtmSmK5ytbsXX/3vd9U16fkdZitUGCLsOBfYrG1KBodvSqrr1V0D1Pi57rTcsHIR9haqbZXZCA1VJI"
    "bsLEpl8HZtXW4vlDFS2sC+QrgKkhMIoeGIaPh4PB5nvQiJ+Kpnj7zVb/fkJIxyEQ+83/sfaQkDue//NkxFEdU17aV1hQAkQ+VVU12nHP///bnO"
    "cs6azUeyJ0b/////7HTVZizLQvIX3/emoAAIlggCXYqgLfWMlRgusj2YY7Mxy1h6NwQeiIJTMgZmj7IZGnDFwqS8sMRjUbEpwwfBSBbVAhjJOJ"
    "0JduskCXQt6gf/tNnC0aDNC8NWRL7qn1thdsa7SjewtTNCj2//NkxF40i+6dv5l4Ae8prcuLNuYTakYiclYE62PoUauqUxEo/fx7zETGy2UVqe"
    "hQ32N23W+6b7OzT20oIl4lNUJUlpVZFbWiA4vo9vn7xXPxfXrrOqff9/TdKTwHBV4zrH+oW9XxAfNkiptjf//////////p9////////+C2S1PL"
    "VWG5Yy7ZEnXLIuwT+Lwi//NkxA4b2zLOX9hQAqR5q8pkMcWTSy1ABUzqbfem/4Nt+mE4eR80hfGI4rGhWEDPUYCEMMz6fzhVH5eYcPjDSMfra3"
    "/a9JYwy7UQ+rD8/lmO9///W966r8xT9en///21S5yyx7kEcwk0673dpLGqsCbcVlrKgDgo5ChHQpwrSGa77tgsiw/V6sO8DAdJltLw"
)
_STREAM = base64.b64decode(_WITH_RESERVOIR)
_WHOLE = miniaudio.mp3_read_s16(_STREAM).samples.tobytes()


@given(st.lists(st.integers(min_value=1, max_value=700), max_size=30))
@settings(max_examples=50, deadline=None)
def test_decoding_in_pieces_is_decoding_the_whole(lengths: list[int]) -> None:
    decoder = Mp3Stream()
    pcm, start = b"", 0
    for length in [*lengths, len(_STREAM)]:
        pcm += decoder.push(_STREAM[start : start + length])
        start += length
    assert pcm == _WHOLE


def test_sound_comes_out_before_the_whole_went_in() -> None:
    assert len(Mp3Stream().push(_STREAM[:300])) == 2 * 576 * 2


def test_a_tag_and_garbage_in_front_are_skipped() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x02" + bytes(130)
    assert Mp3Stream().push(tag + _STREAM) == _WHOLE
    decoder = Mp3Stream()
    assert decoder.push(tag[:50]) + decoder.push(tag[50:]) + decoder.push(_STREAM) == _WHOLE
    assert Mp3Stream().push(b"\x00\xff\x12garbage" + _STREAM) == _WHOLE


def test_garbage_is_silence() -> None:
    assert Mp3Stream().push(bytes(5000)) == b""
    assert Mp3Stream().push(b"\xff" * 5000) == b""


@pytest.mark.parametrize("header", [b"\xff\xfb\x90\x64", b"\xff\xf3\x60\xc4", b"\xff\xf3\x64\x44"])
def test_other_formats_are_refused(header: bytes) -> None:
    with pytest.raises(BadAudio):
        Mp3Stream().push(header + bytes(500))


def test_the_mocks_frames_can_be_repeated_without_end() -> None:
    assert len(Mp3Stream().push(FRAMES * 10)) == 10 * 120 * 48
