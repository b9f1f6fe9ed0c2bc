"""The images of this checkout, named by their content, so that a cluster notices a change and only a change."""

import json
import os
import sys
from collections.abc import Callable
from typing import Final

from e2e.kind import timeouts
from e2e.kind.programs import CommandFailed, MissingProgram, need, run

MEMBERS: Final = {
    "gateway": "services/gateway",
    "inputHandler": "services/input-handler",
    "dialogEngine": "services/dialog-engine",
    "outputHandler": "services/output-handler",
    "legacy.memory": "services/memory",
    "legacy.chatAi": "services/chat-ai",
    "legacy.tts": "services/tts",
    "legacy.asr": "services/asr",
    "legacy.longTermMemory": "services/long-term-memory",
    "asyncWorkers": "services/async-workers",
    "operator": "operator",
}
"""Section of the chart's values → folder of the member."""

ASR: Final = MEMBERS["legacy.asr"]
MODELS: Final = "--build-arg=EXTRA=models"
"""For asr: what `make models` fetches, and what runs it."""

REDIS: Final = "valkey/valkey:9.1"
PASSED_ON: Final = (
    "BASE_IMAGE",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
"""Variables of the caller's environment that become build arguments when they are set."""


def repository(member: str) -> str:
    """`services/gateway` → `vtuber/gateway`."""
    return f"vtuber/{member.rsplit('/', 1)[-1]}"


def build(tell: Callable[[str], None] = lambda _: None) -> dict[str, str]:
    """Build every image; section of the values → image with a tag made of its id. MODELS=1.

    Asr with its models.
    """
    built = {}
    for section, member in MEMBERS.items():
        with_models = member == ASR and os.environ.get("MODELS", "").lower() in ("1", "true", "yes")
        tell(f"image {repository(member)}{' with models' if with_models else ''}")
        built[section] = build_one(member, repository(member), *([MODELS] if with_models else []))
    return built


def build_one(member: str, name: str, *arguments: str) -> str:
    """One image, as `name:dev` and as what is returned: its name with a tag made of its id."""
    passed_on = (
        f"--build-arg={variable}={os.environ[variable]}"
        for variable in PASSED_ON
        if os.environ.get(variable)
    )
    given = (f"--build-arg=MEMBER={member}", *passed_on, *arguments)
    run(
        "docker",
        "build",
        "-q",
        "-f",
        "services/Dockerfile",
        *given,
        "-t",
        f"{name}:dev",
        ".",
        within=timeouts.IMAGE_BUILT,
    )
    identity = (
        run("docker", "image", "inspect", "--format", "{{.Id}}", f"{name}:dev")
        .strip()
        .removeprefix("sha256:")
    )
    tagged = f"{name}:{identity[:12]}"
    run("docker", "tag", f"{name}:dev", tagged)
    return tagged


def load(built: dict[str, str], cluster: str, *nodes: str) -> None:
    """Put the images into a kind cluster's nodes, or only into those named.

    Redis comes too when this machine has it; else they pull it.
    """
    names = list(built.values())
    try:
        run("docker", "image", "inspect", REDIS)
        names.append(REDIS)
    except CommandFailed:
        pass
    where = ["--nodes", ",".join(nodes)] if nodes else []
    run(
        "kind",
        "load",
        "docker-image",
        "--name",
        cluster,
        *where,
        *names,
        within=timeouts.IMAGES_LOADED,
    )


def values(built: dict[str, str]) -> list[str]:
    """Helm's arguments that make the chart use these images."""
    pairs = [f"{section}.image.tag={image.rsplit(':', 1)[1]}" for section, image in built.items()]
    return ["--set-string", ",".join(pairs)]


def sizes() -> dict[str, int]:
    """Bytes of each image as last built."""
    found = {}
    for member in MEMBERS.values():
        said = json.loads(run("docker", "image", "inspect", f"{repository(member)}:dev"))
        found[repository(member)] = int(said[0]["Size"])
    return found


def main() -> None:
    """`make images`: build, and say how large each is."""
    try:
        need("docker")
        build(lambda text: print(text, flush=True))
        for name, size in sizes().items():
            print(f"{name:24} {size / 1e6:5.0f} MB")
    except (CommandFailed, MissingProgram) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
