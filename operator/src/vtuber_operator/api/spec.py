"""`spec` of a VtuberSession: what its author wants.

The CRD's schema, its defaults and its rules are generated from this model.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from dialog_contracts.http import FlagSet
from dialog_contracts.model import SESSION_SELECTOR
from dialog_contracts.session_document import EVERY_SESSION, BaseUrl, Lang, ModelName, VoiceName
from dialog_flags.flags import REQUIRES, Flag

GROUP: Final = "vtuber.dev"
VERSION: Final = "v1alpha1"
KIND: Final = "VtuberSession"
PLURAL: Final = "vtubersessions"

ACK_DEADLINE_S: Final = 60
"""Default of `spec.rollout.ackDeadlineSeconds`."""

FLAG_DEFAULTS: Final[dict[Flag, bool]] = {flag: bool(getattr(FlagSet(), flag)) for flag in Flag}
"""Value of each flag that is absent."""

_ON: Final = {
    Flag.ENABLE_SYNC_CORE: "The main path answers, and the legacy pipeline is its fallback; off: the legacy pipeline answers.",
    Flag.SYNC_TTS_STREAMING: "Speech is sent in chunks while the text is written; off: as a whole file after the text.",
    Flag.SYNC_TTS_BARGE_IN: "STOP ends the speech at once, even within a word; off: STOP is rejected (409).",
    Flag.ENABLE_STREAMS_OUTBOX: "Events of a turn are committed with it and delivered through Redis Streams.",
    Flag.ENABLE_LTM: "Turns are stored as memories, and matching memories are added to the prompt.",
}

Rule = dict[str, str]
SecretName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", max_length=253)
]
SecretKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,253}$", max_length=253)]
SessionName = Annotated[str, StringConstraints(pattern=SESSION_SELECTOR, max_length=64)]


def _is(flag: Flag) -> str:
    """Return CEL for "this flag is on", which is also correct where defaults were not applied."""
    return (
        f"(!has(self.{flag}) || self.{flag})"
        if FLAG_DEFAULTS[flag]
        else f"(has(self.{flag}) && self.{flag})"
    )


def flag_rules() -> list[Rule]:
    """Return one CEL rule for each flag that requires another; its message names both."""
    return [
        {
            "rule": f"!{_is(flag)} || {_is(needed)}",
            "message": f"{flag} needs {needed}: turn it on too, or turn {flag} off",
            "fieldPath": f".{flag}",
            "reason": "FieldValueForbidden",
        }
        for flag, needed in REQUIRES.items()
    ]


def _openai_only(field: str) -> Rule:
    return {
        "rule": f"!has(self.{field}) || (has(self.provider) && self.provider == 'openai')",
        "message": f"{field} belongs to the provider openai: set provider to openai, or leave {field} out",
        "fieldPath": f".{field}",
        "reason": "FieldValueForbidden",
    }


class SpecModel(BaseModel):
    """Base class of the models: camelCase in YAML, and unknown fields are not an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        frozen=True,
        extra="ignore",
    )


class SpecFlags(SpecModel):
    """Desired flags of the session. They change one at a time; an absent flag has its default."""

    model_config = ConfigDict(
        alias_generator=None,
        json_schema_extra={"x-kubernetes-validations": flag_rules()},  # type: ignore[dict-item]
    )

    ENABLE_SYNC_CORE: bool = Field(
        default=FLAG_DEFAULTS[Flag.ENABLE_SYNC_CORE], description=_ON[Flag.ENABLE_SYNC_CORE]
    )
    SYNC_TTS_STREAMING: bool = Field(
        default=FLAG_DEFAULTS[Flag.SYNC_TTS_STREAMING], description=_ON[Flag.SYNC_TTS_STREAMING]
    )
    SYNC_TTS_BARGE_IN: bool = Field(
        default=FLAG_DEFAULTS[Flag.SYNC_TTS_BARGE_IN], description=_ON[Flag.SYNC_TTS_BARGE_IN]
    )
    ENABLE_STREAMS_OUTBOX: bool = Field(
        default=FLAG_DEFAULTS[Flag.ENABLE_STREAMS_OUTBOX],
        description=_ON[Flag.ENABLE_STREAMS_OUTBOX],
    )
    ENABLE_LTM: bool = Field(
        default=FLAG_DEFAULTS[Flag.ENABLE_LTM], description=_ON[Flag.ENABLE_LTM]
    )

    def on(self) -> frozenset[Flag]:
        """Return the flags that are desired."""
        return frozenset(flag for flag in Flag if getattr(self, flag))


class SecretKeyRef(SpecModel):
    """A key of a Secret in the same namespace.

    It must have the label vtuber.dev/session-key: "true".
    """

    name: SecretName = Field(
        description="Name of the Secret, in the namespace of this VtuberSession."
    )
    key: SecretKey = Field(description="The key within its data that contains the API key.")


class ApiKey(SpecModel):
    """Reference to an API key; the key itself is never written here."""

    secret_key_ref: SecretKeyRef = Field(description="The Secret and the key in it.")


class SpecPersona(SpecModel):
    """The character. A field that is absent takes the engine's own setting."""

    instructions: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = Field(
        default=None, description="The system prompt: character, manner and limits of the reply."
    )
    lang: Annotated[Lang, StringConstraints(max_length=35)] | None = Field(
        default=None,
        description="Language of turns whose own language is not detected, such as zh or en-US.",
    )


_OPENAI_RULES: Final = [_openai_only(field) for field in ("baseUrl", "model", "apiKey")]


class SpecLlm(SpecModel):
    """The language model. A field that is absent takes the engine's own setting."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": _OPENAI_RULES})  # type: ignore[dict-item]

    provider: Literal["rules", "openai"] = Field(
        default="openai",
        description="rules: the built-in answers, offline; openai: any server with OpenAI's protocol.",
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="Address up to and including the version, e.g. https://api.openai.com/v1; public, unless the release allows more.",
    )
    model: Annotated[ModelName, StringConstraints(max_length=128)] | None = Field(
        default=None, description="Name of the model as its server spells it."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, le=8_000, description="Longest reply, in tokens."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness of the reply; 0 is the least random."
    )
    api_key: ApiKey | None = Field(default=None, description="The API key of the server.")


class SpecVoice(SpecModel):
    """The voice. A field that is absent takes the engine's own setting."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": _OPENAI_RULES})  # type: ignore[dict-item]

    provider: Literal["espeak", "edge", "openai"] = Field(
        default="espeak",
        description="espeak: offline; edge: Microsoft's read-aloud service; openai: any server with OpenAI's speech protocol.",
    )
    voice_zh: Annotated[VoiceName, StringConstraints(max_length=128)] | None = Field(
        default=None, description="Name of the voice for Chinese text, as its provider spells it."
    )
    voice_en: Annotated[VoiceName, StringConstraints(max_length=128)] | None = Field(
        default=None, description="Name of the voice for all other text."
    )
    base_url: BaseUrl | None = Field(
        default=None,
        description="Address up to and including the version; a public one, unless the release allows more (sessionEgressAllow).",
    )
    model: Annotated[ModelName, StringConstraints(max_length=128)] | None = Field(
        default=None, description="Name of the speech model."
    )
    api_key: ApiKey | None = Field(default=None, description="The API key of the server.")


class Rollout(SpecModel):
    """How changes of flags are rolled out."""

    suspend: bool = Field(
        default=False,
        description="While true, no further flag is turned on. Turning flags off is never suspended.",
    )
    ack_deadline_seconds: int = Field(
        default=ACK_DEADLINE_S,
        ge=5,
        le=3_600,
        description="Seconds that a pod may take to acknowledge a step before Ready becomes False; turning off goes on then.",
    )


_IMMUTABLE: Final[dict[str, Any]] = {
    "x-kubernetes-validations": [
        {
            "rule": "self == oldSelf",
            "message": "sessionId is immutable: delete this VtuberSession and create another",
        }
    ]
}


class Spec(SpecModel):
    """Desired state of the session."""

    session_id: SessionName = Field(
        description="The session that this applies to, or * for every session that has no VtuberSession of its own. Immutable.",
        json_schema_extra=_IMMUTABLE,
    )
    flags: SpecFlags = Field(default=SpecFlags(), description=SpecFlags.__doc__)
    persona: SpecPersona | None = Field(default=None, description=SpecPersona.__doc__)
    llm: SpecLlm | None = Field(default=None, description=SpecLlm.__doc__)
    voice: SpecVoice | None = Field(default=None, description=SpecVoice.__doc__)
    rollout: Rollout = Field(default=Rollout(), description=Rollout.__doc__)

    @property
    def for_every_session(self) -> bool:
        """Whether it applies to all sessions without a VtuberSession of their own."""
        return self.session_id == EVERY_SESSION
