import email.utils
import time

import pytest

from dialog_llm.providers.openai_errors import retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("0.5", 0.5),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("99999", None),
    ],
)
def test_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}) == seconds


def test_a_date() -> None:
    wait = retry_after({"retry-after": email.utils.formatdate(time.time() + 30, usegmt=True)})
    assert wait is not None
    assert 27 < wait <= 30


def test_no_header() -> None:
    assert retry_after({}) is None
