"""What the operator writes for a session, and what a pod answers: the two messages of flag delivery."""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from dialog_contracts.http import FlagSet
from dialog_contracts.model import WireModel

EVERY_SESSION: Final = "*"
"""The sessionId of the document for all sessions that have none of their own."""

KeyFile = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,250}$")]
"""Name of a file in the directory of session keys: never a path."""

Lang = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=512)]
VoiceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$")]
ModelName = Annotated[str, StringConstraints(pattern=r"^[^\s]{1,128}$")]


class Persona(WireModel):
    """Who the character is. A field that is absent takes the engine's own setting."""

    instructions: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = Field(
        default=None, description="The system prompt: character, manner and limits of the reply."
    )
    lang: Lang | None = Field(
        default=None,
        description="Language of a turn that shows none of its own, such as zh or en-US.",
    )


class SessionLlm(WireModel):
    """Which language model answers. What is absent takes the engine's own setting."""

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
        default=None, ge=0, le=2, description="0 is repeatable, 2 is wild."
    )
    api_key_file: KeyFile | None = Field(
        default=None, description="File in the engine's directory of session keys."
    )


class SessionVoice(WireModel):
    """Which voice speaks. What is absent takes the engine's own setting."""

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
    """One field of the hash `vtuber:flags`. Its generation is `flags.generation`: Unix ms of the change, so that it never comes twice."""

    session_id: Annotated[str, StringConstraints(pattern=r"^(\*|[A-Za-z0-9_-]{1,64})$")]
    flags: FlagSet
    resource: Annotated[str, StringConstraints(max_length=320)] = Field(
        description="namespace/name of the VtuberSession."
    )
    persona: Persona | None = None
    llm: SessionLlm | None = None
    voice: SessionVoice | None = None


class FlagTable(WireModel):
    """All documents at one revision: the file `flags.json` of the ConfigMap, from which a pod starts when Redis is away."""

    revision: int = Field(ge=0, description="Grows with every write; what pods acknowledge.")
    documents: list[SessionDocument] = []


class FlagAck(WireModel):
    """One field of the hash `vtuber:flags:acks`, under the pod's name, renewed every 5 s and after every change."""

    service: str
    revision: int = Field(
        ge=0, description="The pod's next turn goes by the documents of this revision."
    )
    at: float = Field(description="Unix seconds; an acknowledgement older than 15 s is ignored.")
    missing_keys: list[KeyFile] = Field(
        default=[], description="Key files that documents name and the pod does not have yet."
    )
