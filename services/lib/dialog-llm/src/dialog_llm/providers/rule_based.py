"""A provider with a handful of rules, for when no language model is connected.

Its replies say that no model is connected.
"""

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dialog_contracts.writing_systems import HAN
from dialog_llm.provider import GenerationOptions, Message
from dialog_llm.providers.rule_based_phrases import PHRASES, Intent, Language

_HAN: Final = re.compile(f"[{HAN}]")
_LATIN_WORD: Final = re.compile(r"[A-Za-z]+")
# Chinese text is split into one or two characters, like a model's tokens; other text into words
# with their space.
_PIECE: Final = re.compile(
    rf"[{HAN}，。！？、；：～…（）]{{1,2}}\s*|[^\s{HAN}，。！？、；：～…（）]+\s*|\s+"
)

_INTENTS: Final[tuple[tuple[Intent, re.Pattern[str]], ...]] = (
    (
        "own_name",
        re.compile(r"what(?:'s| is) your name|who are you|你叫什么|你是谁|你的名字|你叫啥", re.I),
    ),
    (
        "users_name",
        re.compile(
            r"what(?:'s| is) my name|who am i\b|remember me|我叫什么|我是谁|记得我|我的名字是什么",
            re.I,
        ),
    ),
    ("introduction", re.compile(r"\bmy name is\b|\bcall me\b|(?<!你)叫我|我叫|我的名字是", re.I)),
    (
        "abilities",
        re.compile(
            r"what can you do|can you help|how do you work|你会什么|你能做什么|能干什么|你会做什么",
            re.I,
        ),
    ),
    ("thanks", re.compile(r"\bthank(?:s| you)\b|\bthx\b|谢谢|多谢|感谢", re.I)),
    (
        "feeling",
        re.compile(
            r"how are you|how(?:'s| is) it going|how do you feel|你好吗|最近怎么样|心情|还好吗",
            re.I,
        ),
    ),
    ("joke", re.compile(r"\bjokes?\b|make me laugh|笑话|逗我|段子", re.I)),
    (
        "farewell",
        re.compile(r"\b(?:good ?bye|bye|see you|good night)\b|再见|拜拜|晚安|下次见", re.I),
    ),
    (
        "greeting",
        re.compile(
            r"\b(?:hi|hello|hey|good (?:morning|evening|afternoon))\b|你好|您好|大家好|早上好|晚上好|哈喽|嗨",
            re.I,
        ),
    ),
)
# The lookaheads: 我叫什么 and "call me what?" ask for a name; without them the next answer would greet
# a user called "what".
_NAME_GIVEN: Final = re.compile(
    r"(?:\bmy name is|\bcall me)\s+(?!(?:what|who|whatever|later|back)\b)([A-Za-z][\w'-]{0,30})"
    r"|(?:我的名字是|我的名字叫|我叫|(?<!你)叫我)\s*(?!什么|啥|谁)([㐀-鿿]{1,4}|[A-Za-z][\w'-]{0,30})",
    re.I,
)
_NAME_TAIL: Final = re.compile(r"[吧呀啊哦啦哈呢]$")


@dataclass(frozen=True, slots=True)
class RuleBasedConfig:
    """The character's names and the speed of the text."""

    character: str = "Xiaoxing"
    """Name of the character in English."""

    character_zh: str = "小星"

    piece_delay_s: float = 0.02
    """Pause in seconds before each piece, so that text appears gradually; 0 sends all at once."""


class RuleBasedProvider:
    """An `LlmProvider` without a model.

    The same messages always give the same answer, in the language of the question.
    """

    def __init__(self, config: RuleBasedConfig | None = None, *, name: str = "rules") -> None:
        self.name = name
        self._config = config or RuleBasedConfig()

    async def stream(
        self, messages: Sequence[Message], options: GenerationOptions
    ) -> AsyncGenerator[str, None]:
        """Yield two or three sentences, a word or one to two Chinese characters at a time.

        Never raises `LlmError`.
        """
        pieces = _PIECE.findall(self.reply_to(messages))
        for piece in pieces[: options.max_tokens]:
            await asyncio.sleep(self._config.piece_delay_s)
            yield piece

    async def warm(self) -> None:
        """Do nothing: there is nothing to prepare."""

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    def reply_to(self, messages: Sequence[Message]) -> str:
        """Return the whole answer to the last user message; without one, to an empty message."""
        said = [message.content for message in messages if message.role == "user"]
        question = said[-1].strip() if said else ""
        language = language_of(question)
        intent = _intent_of(question)
        user = _name_in(said)
        if intent == "users_name" and user is None:
            intent = "name_unknown"
        elif intent == "introduction" and _name_in(said[-1:]) is None:
            intent = "question" if user is None else "users_name"
        spoken = intent if question else "silence"
        choose = _chooser(question, len(said))
        parts = [choose(PHRASES[language][spoken]), choose(PHRASES[language]["honest"])]
        # These intents end with an invitation to continue; an echo already asks a question.
        if spoken in ("greeting", "feeling", "introduction", "abilities"):
            parts.append(choose(PHRASES[language]["invite"]))
        text = ("" if language == "zh" else " ").join(parts)
        return text.format(
            me=self._config.character_zh if language == "zh" else self._config.character,
            you=_address(user, language),
            name=user or "",
            echo=_echo(question, language),
        )


def language_of(text: str) -> Language:
    """Return "zh" where Chinese characters are at least as many as Latin words, else "en".

    `好的 thanks` is Chinese, `what does 你好 mean` is not.
    """
    han = len(_HAN.findall(text))
    return "zh" if han and han >= len(_LATIN_WORD.findall(text)) else "en"


def _intent_of(question: str) -> Intent:
    for intent, pattern in _INTENTS:
        if pattern.search(question):
            return intent
    return (
        "question"
        if re.search(r"[?？]|[吗呢]\s*$|^(?:what|why|how|when|where|who)\b", question, re.I)
        else "remark"
    )


def _name_in(said: Sequence[str]) -> str | None:
    """Return the name that the user gave last in any of `said`, or None."""
    for text in reversed(said):
        for match in reversed(list(_NAME_GIVEN.finditer(text))):
            name = _NAME_TAIL.sub("", match.group(1) or match.group(2))
            if name:
                return name if _HAN.search(name) else name[0].upper() + name[1:]
    return None


def _address(user: str | None, language: Language) -> str:
    if user is None:
        return ""
    return f"{user}，" if language == "zh" else f", {user}"


def _echo(question: str, language: Language) -> str:
    """Return the question, shortened, for use within a sentence.

    Braces and quotes are removed, because they would break that sentence.
    """
    words = re.sub(r"[{}\"“”「」\s]+", " ", question).strip(" ?？!！.。,，")
    limit = 18 if language == "zh" else 60
    return words if len(words) <= limit else words[:limit].rstrip() + "…"


def _chooser(question: str, turn: int) -> Callable[[Sequence[str]], str]:
    """Return a choice that depends on the question and the turn and is the same in every run.

    `hash` is not used because it is salted.
    """
    seed = zlib.crc32(f"{turn}:{question}".encode())

    def choose(phrases: Sequence[str]) -> str:
        return phrases[(seed + zlib.crc32(phrases[0].encode())) % len(phrases)]

    return choose
