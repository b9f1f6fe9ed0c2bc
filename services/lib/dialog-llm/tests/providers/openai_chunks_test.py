import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_llm.content_parts import UnsupportedContent
from dialog_llm.providers.openai_chunks import Choice, Chunk, ErrorInStream, ending_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "index",
                    "finish_reason",
                    "error",
                    "message",
                    "text",
                    "reasoning",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_chunk_or_one_of_the_known_errors(value: Any) -> None:
    try:
        chunk = Choice().read(json.dumps(value))
    except (ValueError, UnsupportedContent):
        return
    assert all(isinstance(text, str) for text, _ in chunk.texts)


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        (None, None),
        ("", None),
        ("null", None),
        (" NONE ", None),
        (0, None),
        ({}, None),
        ("stop", "stop"),
        ("tool_calls", "stop"),
        ("length", "length"),
        ("SAFETY", "content_filter"),
        ("network_error", "broken"),
    ],
)
def test_only_a_real_reason_is_one(reason: Any, ending: str | None) -> None:
    assert ending_of(reason) == ending


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"delta": {"content": "a"}}, [("a", False)]),
        ({"delta": None, "message": {"content": "whole"}}, [("whole", False)]),
        ({"delta": "bare"}, [("bare", False)]),
        ({"text": "older"}, [("older", False)]),
        ({"delta": {"content": None, "reasoning": "hm"}}, [("", True)]),
        ({"delta": {"content": "", "reasoning": ""}}, [("", False)]),
        ({}, []),
    ],
)
def test_where_servers_put_their_text(choice: dict[str, Any], said: list[tuple[str, bool]]) -> None:
    assert Choice().read(json.dumps({"choices": [choice]})) == Chunk(said)


def test_an_error_in_the_stream_has_its_servers_words_and_code() -> None:
    with pytest.raises(ErrorInStream, match="too fast") as caught:
        Choice().read(json.dumps({"error": {"message": "too fast", "code": 429}}))
    assert caught.value.code == "429"
