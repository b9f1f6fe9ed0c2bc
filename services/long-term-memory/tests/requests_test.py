import pytest
from pydantic import ValidationError

from long_term_memory.requests import (
    FOUND_MAX,
    METADATA_CHARS,
    PROFILE_CHARS,
    AddRequest,
    ProfileUpdateRequest,
    SearchRequest,
)


def test_a_search_has_a_text_and_a_bounded_number_of_results() -> None:
    assert SearchRequest(query="cat").limit == 5
    for wrong in ({"query": ""}, {"query": "cat", "limit": FOUND_MAX + 1}):
        with pytest.raises(ValidationError):
            SearchRequest.model_validate(wrong)


def test_what_is_blank_or_too_much_is_not_added() -> None:
    assert AddRequest.model_validate({"content": "a cat", "metadata": None}).metadata == {}
    with pytest.raises(ValidationError, match="is blank"):
        AddRequest(content="  ")
    with pytest.raises(ValidationError, match=f"more than {METADATA_CHARS} characters of JSON"):
        AddRequest(content="a cat", metadata={"note": "x" * METADATA_CHARS})


def test_only_what_the_user_said_is_by_the_user() -> None:
    assert AddRequest(content="a cat").by_user
    assert AddRequest(content="a cat", metadata={"source": "user"}).by_user
    assert not AddRequest(content="a cat", metadata={"source": "assistant"}).by_user


def test_a_profile_update_has_fields_and_none_of_them_is_too_long() -> None:
    assert ProfileUpdateRequest(updates={"name": None}).updates == {"name": None}
    with pytest.raises(ValidationError):
        ProfileUpdateRequest(updates={})
    with pytest.raises(ValidationError, match="name has more than"):
        ProfileUpdateRequest(updates={"name": "x" * PROFILE_CHARS})
