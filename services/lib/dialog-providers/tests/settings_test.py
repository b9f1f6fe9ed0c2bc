import pytest
from pydantic import ValidationError

from dialog_providers.settings import ModelSettings


@pytest.mark.parametrize(
    "key", ["sec ret", "sec\nret", "sec\0ret", "secr\u00e9t", "\u201csecret\u201d"]
)
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValidationError, match="printable ASCII") as error:
        ModelSettings(openai_api_key=key)
    assert key not in error.value.errors()[0]["msg"]
    assert "secr" not in str(error.value)


def test_any_other_key_is_taken_as_it_is() -> None:
    assert ModelSettings(openai_api_key="sk-proj_1.A=").openai_key() == "sk-proj_1.A="
