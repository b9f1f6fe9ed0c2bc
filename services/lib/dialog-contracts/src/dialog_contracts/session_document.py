"""The two messages of flag delivery: the operator's document of a session, and a pod's reply."""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from dialog_contracts.http import FlagSet
from dialog_contracts.model import SESSION_SELECTOR, WireModel

EVERY_SESSION: Final = "*"
"""The sessionId of the document for all sessions without a document of their own."""

KeyFile = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,250}$")]
"""Name of a file in the directory of session keys; never a path."""

Lang = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=512)]
VoiceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[^\s]{1,128}$")]


class Persona(WireModel):
    """The character of a session. A field that is absent takes the engine's own setting."""

    instructions: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = Field(
        default=None, description="The system prompt: character, manner and limits of the reply."
    )
    lang: Lang | None = Field(
        default=None,
        description="Language of turns whose own language is not detected, such as zh or en-US.",
    )


class SessionLlm(WireModel):
    """The language model of a session. A field that is absent takes the engine's own setting."""

    provider: Literal["rules", "openai"] = Field(
        default="openai",
        description="rules: the built-in answers, offline; openai: any server with OpenAI's protocol.",
    )
    base_url: BaseUrl | None = Field(
        default=None, description="Up to and including the version, e.g. https://api.openai.com/v1."
    )
    model: ModelName | None = Field(
        default=None, description="Name of the model as its server spells it."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, le=8_000, description="Longest reply, in tokens."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Randomness of the reply; 0 is the least random."
    )
    api_key_file: KeyFile | None = Field(
        default=None, description="File in the engine's directory of session keys."
    )


class SessionVoice(WireModel):
    """The voice of a session. A field that is absent takes the engine's own setting."""

    provider: Literal["espeak", "edge", "openai"] = Field(
        default="espeak",
        description="espeak: offline; edge: Microsoft's read-aloud service; openai: any server with OpenAI's speech protocol.",
    )
    voice_zh: VoiceName | None = Field(
        default=None, description="Name of the voice for Chinese text, as its provider spells it."
    )
    voice_en: VoiceName | None = Field(
        default=None, description="Name of the voice for all other text."
    )
    base_url: BaseUrl | None = Field(
        default=None, description="openai only: up to and including the version."
    )
    model: ModelName | None = Field(
        default=None, description="openai only: name of the speech model."
    )
    api_key_file: KeyFile | None = Field(
        default=None, description="File in the engine's directory of session keys."
    )


class SessionDocument(WireModel):
    """Flags and settings of one session: one field of the hash `vtuber:flags`.

    Its generation is `flags.generation`, the Unix ms of the change, so that no value is used twice.
    """

    session_id: Annotated[str, StringConstraints(pattern=SESSION_SELECTOR)]
    flags: FlagSet
    resource: Annotated[str, StringConstraints(max_length=320)] = Field(
        description="namespace/name of the VtuberSession."
    )
    persona: Persona | None = None
    llm: SessionLlm | None = None
    voice: SessionVoice | None = None


class FlagTable(WireModel):
    """All documents at one revision: the file `flags.json` of the ConfigMap.

    A pod starts from this file while Redis is not available.
    """

    revision: int = Field(ge=0, description="Grows with every write; what pods acknowledge.")
    documents: list[SessionDocument] = []


class FlagAck(WireModel):
    """A pod's acknowledgement: one field of the hash `vtuber:flags:acks`, under the pod's name.

    The pod renews it every 5 s and after every change.
    """

    service: str
    revision: int = Field(
        ge=0, description="The pod's next turn goes by the documents of this revision."
    )
    at: float = Field(description="Unix seconds; an acknowledgement older than 15 s is ignored.")
    missing_keys: list[KeyFile] = Field(
        default=[], description="Key files that documents name and the pod does not have yet."
    )
    unsupported: dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=256)],
    ] = Field(
        default={}, max_length=16, description="Flags that the pod cannot serve when on: why not."
    )
