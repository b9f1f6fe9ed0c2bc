"""Generates the whole reply of a turn with the session's language model and persona."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import structlog

from dialog_contracts.http import TurnRecord
from dialog_contracts.limits import MAX_REPLY_CHARS
from dialog_llm import prompt
from dialog_llm.errors import LlmError
from dialog_llm.provider import Ended, Message
from dialog_llm.session_models import SessionModel, SessionModels
from dialog_telemetry import metrics

log = structlog.get_logger("generator")


class GenerationFailed(Exception):
    """No reply could be generated.

    `code` is `llm_timeout`, `llm_empty`, or the code of an LlmError.
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class ReplyGenerator:
    """Generates replies with the same models and prompts as the engine."""

    def __init__(
        self,
        models: SessionModels,
        *,
        within_s: float,
        context_tokens: int = prompt.CONTEXT_TOKENS,
    ) -> None:
        self._models, self._timeout_s, self._context_tokens = models, within_s, context_tokens

    async def generate(self, session_id: str, recent: Sequence[TurnRecord], content: str) -> str:
        """Return the whole reply, at most MAX_REPLY_CHARS characters. Raises GenerationFailed."""
        model = self._models.for_session(session_id)
        messages = prompt.build(
            model.instructions, recent, content, context_tokens=self._context_tokens
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._text(model, messages)
        except TimeoutError as error:
            raise GenerationFailed(
                "llm_timeout", f"no complete reply within {self._timeout_s:.0f} s"
            ) from error
        except LlmError as error:
            raise GenerationFailed(error.code, str(error)) from error
        # Redis and JSON need valid Unicode, without lone surrogates.
        text = text.encode("utf-8", "replace").decode("utf-8")
        if not text.strip():
            raise GenerationFailed("llm_empty", "the language model returned no text")
        if len(text) > MAX_REPLY_CHARS:
            log.warning("reply_truncated", chars=len(text), limit=MAX_REPLY_CHARS)
        return text[:MAX_REPLY_CHARS]

    async def _text(self, model: SessionModel, messages: Sequence[Message]) -> str:
        """Return the reply; a stream that fails after some text is requested once more.

        The main path cannot do this, because viewers have already got the beginning.
        """
        for tries_left in (1, 0):
            text = ""
            try:
                async with aclosing(model.llm.stream(messages, model.options)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, str):
                            text += piece
                        elif isinstance(piece, Ended):
                            log.warning(
                                "reply_cut_by_its_model",
                                provider=model.llm.name,
                                reason=piece.reason,
                                chars=len(text),
                            )
                break
            except LlmError as error:
                if not (text and tries_left):
                    raise
                metrics.LLM_FALLBACKS.labels(provider=model.llm.name, reason="retried").inc()
                log.warning(
                    "generation_retried",
                    provider=model.llm.name,
                    reason=error.reason,
                    chars=len(text),
                )
        return text
