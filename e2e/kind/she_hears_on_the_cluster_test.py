"""asr with its models, in a restricted pod, without the legacy chain.

Who speaks into a microphone is understood and answered.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.harness import recordings
from e2e.kind import images, timeouts
from e2e.kind.client import room
from e2e.kind.namespace import Namespace
from e2e.kind.programs import ROOT, run
from e2e.kind.release import Release


@pytest.mark.timeout(timeouts.TEST + timeouts.IMAGE_BUILT, func_only=True)
async def test_spoken_words_become_a_turn(
    context: str, namespace: Namespace, release: Callable[..., Release], tmp_path: Path
) -> None:
    with_models = images.build_one(images.ASR, "vtuber/asr-models", images.MODELS)
    images.load({"legacy.asr": with_models}, context.removeprefix("kind-"))
    name, tag = with_models.rsplit(":", 1)
    release(
        "helm",
        "--set",
        f"microphone.enabled=true,legacy.asr.image.repository={name}",
        "--set-string",
        f"legacy.asr.image.tag={tag}",
    ).upgrade()
    place = room(namespace)
    said = await place.talks_again()

    spoken = tmp_path / "spoken.wav"
    spoken.write_bytes(await recordings.speech("What is your name?"))
    told = run(
        str(ROOT / ".venv/bin/vtuber"), "talk", "--session", place.session, "--lang", "en", "--url", f"http://{place.at}",
        "--wav", str(spoken), "--out", str(tmp_path / "answer.wav"), within=timeouts.SPOKEN,
    )  # fmt: skip
    assert "your name" in told.lower(), told
    turns = await place.turns()
    assert max(turns) > said.turn, "what was heard is a turn of the session"
