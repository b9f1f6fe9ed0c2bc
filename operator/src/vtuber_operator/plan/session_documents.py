"""Derives a session's document and its keys from the spec and the status of its resource."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dialog_contracts.session_document import Persona, SessionDocument, SessionLlm, SessionVoice
from vtuber_operator.api.spec import ApiKey, Spec
from vtuber_operator.api.status import Reason
from vtuber_operator.plan.snapshot import Key, Resource, SecretSeen, flag_set

SESSION_KEY_LABEL: Final = "vtuber.dev/session-key"
_FILE_MAX: Final = 251


@dataclass(frozen=True)
class KeyRef:
    """One API key: the Secret, the key in it, and the file from which engines read it."""

    namespace: str
    secret: str
    key: str
    file: str


@dataclass(frozen=True)
class ResolvedKeys:
    """The keys that a resource refers to: files by section, or why a section has none."""

    files: Mapping[str, KeyRef]
    reason: Reason
    problem: str | None = None


@dataclass(frozen=True)
class RenderedDocument:
    """A document with its JSON text and the files that it names."""

    document: SessionDocument
    text: str
    files: frozenset[str]

    @classmethod
    def render(cls, document: SessionDocument) -> "RenderedDocument":
        """Render the document once."""
        parts = (document.llm, document.voice)
        files = frozenset(
            part.api_key_file
            for part in parts
            if part is not None and part.api_key_file is not None
        )
        return cls(document, document.to_json(), files)


def key_file(namespace: str, secret: str, key: str, version: str) -> str:
    """Return the name of a key's file.

    A rotated key gets another name (ADR 8). Names that are too long for a Secret's key are replaced
    by a digest.
    """
    name = f"{namespace}.{secret}.{key}.{version}"
    if len(name) <= _FILE_MAX:
        return name
    return f"{namespace}.{hashlib.sha256(f'{secret}/{key}'.encode()).hexdigest()}.{version}"


def _reference(spec: Spec, section: str) -> ApiKey | None:
    part = spec.llm if section == "llm" else spec.voice
    return part.api_key if part is not None and part.provider == "openai" else None


def keys_of(resource: Resource, secrets: Mapping[Key, SecretSeen]) -> ResolvedKeys:
    """Resolve the resource's `secretKeyRef`s among the labelled Secrets of its own namespace."""
    files: dict[str, KeyRef] = {}
    wanted = 0
    reason, problem = Reason.KEYS_READY, None
    for section in ("llm", "voice"):
        api_key = _reference(resource.spec, section) if resource.spec is not None else None
        if api_key is None:
            continue
        wanted += 1
        name, key = api_key.secret_key_ref.name, api_key.secret_key_ref.key
        secret = secrets.get((resource.namespace, name))
        where = f"spec.{section}.apiKey"
        if secret is None:
            reason = Reason.SECRET_MISSING
            problem = (
                f'{where}: there is no Secret {name} with the label {SESSION_KEY_LABEL}: "true" in namespace {resource.namespace}; '
                f"the engine's own settings answer until there is"
            )
        elif key not in secret.keys:
            reason = Reason.KEY_MISSING
            problem = f"{where}: the Secret {name} has no key {key}; the engine's own settings answer until it has"
        else:
            files[section] = KeyRef(
                resource.namespace,
                name,
                key,
                key_file(resource.namespace, name, key, secret.version),
            )
    return ResolvedKeys(files, reason if wanted else Reason.NO_KEYS, problem)


def document_of(resource: Resource, keys: ResolvedKeys) -> SessionDocument | None:
    """Return the document for the pods, or None while nothing of the resource is in force.

    The flags come from the status. A section whose key is missing is left out, so that the engine's
    own provider answers.
    """
    if resource.session_id is None or not resource.in_force:
        return None
    flags = flag_set(resource.status.on(), resource.status.generation)
    base = SessionDocument(session_id=resource.session_id, flags=flags, resource=resource.path)
    spec = resource.spec
    if spec is None:
        return base
    return base.model_copy(
        update={
            "persona": Persona(**spec.persona.model_dump(exclude_none=True))
            if spec.persona is not None
            else None,
            "llm": _llm(spec, keys),
            "voice": _voice(spec, keys),
        }
    )


def _llm(spec: Spec, keys: ResolvedKeys) -> SessionLlm | None:
    if spec.llm is None or (_reference(spec, "llm") is not None and "llm" not in keys.files):
        return None
    file = keys.files["llm"].file if "llm" in keys.files else None
    return SessionLlm(
        **spec.llm.model_dump(exclude={"api_key"}, exclude_none=True), api_key_file=file
    )


def _voice(spec: Spec, keys: ResolvedKeys) -> SessionVoice | None:
    if spec.voice is None or (_reference(spec, "voice") is not None and "voice" not in keys.files):
        return None
    file = keys.files["voice"].file if "voice" in keys.files else None
    return SessionVoice(
        **spec.voice.model_dump(exclude={"api_key"}, exclude_none=True), api_key_file=file
    )
