import asyncio
import time

import pytest

from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.providers.rule_based import RuleBasedConfig, RuleBasedProvider, language_of
from dialog_llm.providers.rule_based_phrases import PHRASES

_FAST = RuleBasedProvider(RuleBasedConfig(piece_delay_s=0))


def _user(*texts: str) -> list[Message]:
    messages = [Message("system", "You are Xiaoxing. 你叫小星。")]
    for text in texts:
        messages += [Message("user", text), Message("assistant", "…")]
    return messages[:-1]


async def _pieces(*texts: str) -> list[str]:
    return [piece async for piece in _FAST.stream(_user(*texts), GenerationOptions())]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", "en"),
        ("你好", "zh"),
        ("什么是 AI", "zh"),
        ("what does 你好 mean in English", "en"),
        ("", "en"),
        ("123", "en"),
    ],
)
def test_the_answer_is_in_the_language_of_the_question(text: str, language: str) -> None:
    assert language_of(text) == language
    answer = _FAST.reply_to(_user(text))
    assert ("语言模型" in answer) == (language == "zh")
    assert ("language model" in answer) == (language == "en")


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("Hello there!", "greeting"),
        ("晚上好", "greeting"),
        ("tell me a joke", "joke"),
        ("讲个笑话吧", "joke"),
        ("thanks a lot", "thanks"),
        ("谢谢你", "thanks"),
        ("How are you?", "feeling"),
        ("你最近怎么样", "feeling"),
        ("What can you do?", "abilities"),
        ("你会什么", "abilities"),
        ("who are you", "own_name"),
        ("你叫什么名字？", "own_name"),
        ("bye", "farewell"),
        ("晚安", "farewell"),
        ("what is my name", "name_unknown"),
        ("我叫什么", "name_unknown"),
        ("", "silence"),
    ],
)
def test_each_pattern_has_its_own_answers(text: str, intent: str) -> None:
    answer = _FAST.reply_to(_user(text))
    openings = [
        phrase.format(
            me="小星" if language_of(text) == "zh" else "Xiaoxing", you="", name="", echo=""
        )
        for phrase in PHRASES[language_of(text)][intent]  # type: ignore[index]
    ]
    assert any(answer.startswith(opening) for opening in openings)


def test_a_question_is_said_back() -> None:
    assert "why is the sky blue" in _FAST.reply_to(_user("why is the sky blue?"))
    assert "天空为什么是蓝的" in _FAST.reply_to(_user("天空为什么是蓝的？"))


def test_braces_and_quotes_in_a_question_are_harmless() -> None:
    assert "{" not in _FAST.reply_to(_user('what is {me} and {0.__class__} and "%s"?'))


def test_the_name_is_remembered_within_the_messages_given() -> None:
    assert "Bob" in _FAST.reply_to(_user("my name is bob", "what's my name?"))
    assert "小明" in _FAST.reply_to(_user("我叫小明", "你记得我叫什么吗"))
    assert "小明" in _FAST.reply_to(_user("你好，我叫小明呀"))
    assert "Ann" in _FAST.reply_to(_user("Call me Ann", "call me what?", "thanks"))
    assert "Bob" not in _FAST.reply_to(_user("what's my name?"))


def test_the_same_messages_always_give_the_same_answer_and_turns_differ() -> None:
    assert _FAST.reply_to(_user("hello")) == RuleBasedProvider().reply_to(_user("hello"))
    assert len({_FAST.reply_to(_user(*["hello"] * count)) for count in range(1, 7)}) > 1


@pytest.mark.parametrize("text", ["hello", "你好", "what is {x}?", "我喜欢 Python，你呢？"])
async def test_pieces_are_small_and_together_are_the_answer(text: str) -> None:
    pieces = await _pieces(text)
    assert "".join(pieces) == _FAST.reply_to(_user(text))
    assert all(pieces)
    assert all(len(piece.split()) <= 1 for piece in pieces)
    if text == "你好":
        assert max(map(len, pieces)) <= 2
    assert len("".join(pieces)) > 40 or language_of(text) == "zh"


async def test_the_token_limit_holds() -> None:
    assert (
        len(
            [piece async for piece in _FAST.stream(_user("hello"), GenerationOptions(max_tokens=3))]
        )
        == 3
    )


async def test_pieces_come_at_the_given_pace_and_other_tasks_run_between_them() -> None:
    began = time.monotonic()
    slow = RuleBasedProvider(RuleBasedConfig(piece_delay_s=0.005))
    pieces, _ = await asyncio.gather(
        anext(slow.stream(_user("hi"), GenerationOptions())), asyncio.sleep(0)
    )
    assert pieces
    assert 0.004 < time.monotonic() - began < 2
