"""Values that cannot work are refused before anything is installed, by a sentence that says which value and why."""

import pytest

from e2e.kind.programs import CommandFailed, run
from e2e.kind.release import CHART

REFUSED = {
    "gateway.replcas=3": "additional properties 'replcas' not allowed",
    "gateway.replicas=0": "at '/gateway/replicas': minimum: got 0, want 1",
    "gateway.replicas=two": "at '/gateway/replicas': got string, want integer",
    "dialogEngine.replicas=0": "at '/dialogEngine/replicas': minimum: got 0, want 1",
    "image.pullPolicy=Sometimes": "value must be one of 'IfNotPresent', 'Always', 'Never'",
    "dialogEngine.llm.baseUrl=ollama:11434": "at '/dialogEngine/llm/baseUrl'",
    "redis.external.url=redis://:secret@somewhere": "at '/redis/external/url'",
    "flags.ENABLE_LTM=true": "flags.ENABLE_LTM needs flags.ENABLE_STREAMS_OUTBOX",
    "flags.SYNC_TTS_BARGE_IN=true": "flags.SYNC_TTS_BARGE_IN needs flags.SYNC_TTS_STREAMING",
    "flags.SYNC_TTS_STRAEMING=true": "additional properties 'SYNC_TTS_STRAEMING' not allowed",
}


def template(helm: str, *arguments: str) -> str:
    return run(helm, "template", "vtuber", str(CHART), "--kube-version", "1.35.0", *arguments)


@pytest.mark.parametrize("value", REFUSED)
def test_each_by_a_sentence_that_names_it(helm: str, value: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        template(helm, "--set", value)
    assert REFUSED[value] in refused.value.said


def test_an_old_kubernetes_is_named(helm: str) -> None:
    with pytest.raises(CommandFailed) as refused:
        run(helm, "template", "vtuber", str(CHART), "--kube-version", "1.29.0")
    assert (
        "kubeVersion: >=1.30.0-0 which is incompatible with Kubernetes v1.29.0"
        in refused.value.said
    )
