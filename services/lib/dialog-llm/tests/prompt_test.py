from dialog_contracts.http import TurnRecord
from dialog_llm import prompt


def record(
    turn: int, user: str = "q", reply: str = "a", *, interrupted: bool = False
) -> TurnRecord:
    return TurnRecord(turn=turn, user=user, reply=reply, ts=0, interrupted=interrupted)


def test_persona_then_history_oldest_first_then_the_new_words() -> None:
    messages = prompt.build(
        "persona", [record(1, "one", "eins"), record(2, "two", "zwei")], "three"
    )
    assert [(message.role, message.content) for message in messages] == [
        ("system", "persona"),
        ("user", "one"),
        ("assistant", "eins"),
        ("user", "two"),
        ("assistant", "zwei"),
        ("user", "three"),
    ]


def test_an_interrupted_reply_says_so_and_an_empty_one_is_left_out() -> None:
    messages = prompt.build(
        "p", [record(1, "one", "half a", interrupted=True), record(2, "two", "")], "three"
    )
    assert [message.content for message in messages[1:]] == [
        "one",
        "half a… [interrupted]",
        "two",
        "three",
    ]


def test_a_spoken_line_without_a_question_has_no_user_message() -> None:
    messages = prompt.build("p", [record(1, "", "Welcome to the show.")], "hi")
    assert [message.role for message in messages] == ["system", "assistant", "user"]


def test_old_turns_fall_out_when_the_context_is_full() -> None:
    long = "x" * (prompt.CONTEXT_TOKENS * prompt.CHARS_PER_TOKEN // 3)
    messages = prompt.build("p", [record(turn, f"q{turn}", long) for turn in range(1, 9)], "new")
    assert [message.content for message in messages if message.role == "user"] == [
        "q7",
        "q8",
        "new",
    ]


def test_a_chinese_character_counts_as_a_token_and_letters_as_a_quarter() -> None:
    assert prompt.estimated_tokens("今晚玩什么") == 5
    assert prompt.estimated_tokens("x" * 41) == 11
    assert prompt.estimated_tokens("今晚 ok") == 3
    assert prompt.estimated_tokens("") == 0
    turns = [record(turn, "问" * 10, "答" * 40) for turn in range(1, 9)]
    assert len(prompt.build("p", turns, "new", context_tokens=100)) == 1 + 2 * 2 + 1
    assert len(prompt.build("p", turns, "new", context_tokens=0)) == 2


def test_thoughts_that_earlier_versions_stored_are_not_sent_back() -> None:
    turns = [record(1, reply="<think>secret</think>Hello"), record(2, reply="<think>nothing else")]
    assert [message.content for message in prompt.build("p", turns, "new")] == [
        "p",
        "q",
        "Hello",
        "q",
        "new",
    ]
