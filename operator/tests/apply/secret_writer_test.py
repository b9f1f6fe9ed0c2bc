"""One file for each key that is referred to, as long as a pod may need it, and its value nowhere else."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from vtuber_operator.apply.secret_writer import SecretWriter
from vtuber_operator.clients.kubernetes import ClusterApi
from vtuber_operator.errors import ClusterError, TooMany, Unreachable
from vtuber_operator.observe.cache import ResourceCache
from vtuber_operator.plan.session_documents import KeyRef, key_file
from vtuber_operator.settings import OperatorSettings

pytestmark = pytest.mark.looptime


class Cluster(ClusterApi):
    """Keeps each managed Secret that it was given, with the time; answers `failures` first."""

    def __init__(self) -> None:
        super().__init__(1)
        self.failures: list[ClusterError] = []
        self.applied: list[tuple[float, dict[str, str]]] = []

    async def apply_secret(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        assert (namespace, name) == ("vt", "vtuber-session-keys")
        if self.failures:
            raise self.failures.pop(0)
        self.applied.append((asyncio.get_running_loop().time(), dict(data)))

    @property
    def files(self) -> dict[str, str]:
        return {
            file: base64.b64decode(value).decode() for file, value in self.applied[-1][1].items()
        }


class Engaged:
    """The keeper of keys at work, and what it sees."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.observed = ResourceCache(lambda: None, pods_in="vt")
        self.keys = SecretWriter(self.cluster, self.observed, OperatorSettings(pod_namespace="vt"))

    def secret(self, name: str, value: str, version: int) -> dict[str, KeyRef]:
        """Somebody writes a labelled Secret; returns what documents name then."""
        meta = {"namespace": "live", "name": name, "uid": name, "resourceVersion": str(version)}
        self.observed.on_event(
            "secrets",
            "MODIFIED",
            {"metadata": meta, "data": {"token": base64.b64encode(value.encode()).decode()}},
        )
        file = key_file("live", name, "token", str(version))
        return {file: KeyRef("live", name, "token", file)}

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.keys.run())
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task


@pytest.fixture
def engaged() -> Engaged:
    return Engaged()


async def test_a_key_that_is_named_gets_a_file_and_no_other_does(engaged: Engaged) -> None:
    async with engaged.working():
        engaged.secret("unused", "sk-unused", 1)
        named = engaged.secret("openai", "sk-1", 2)
        engaged.keys.set_desired(named, keep_old=False)
        await asyncio.sleep(1)
        assert engaged.cluster.files == {"live.openai.token.2": "sk-1"}
        engaged.keys.set_desired(named, keep_old=False)
        await asyncio.sleep(1)
        assert len(engaged.cluster.applied) == 1, "nothing is written that is there"


async def test_a_rotated_keys_old_file_stays_until_nobody_goes_by_it(engaged: Engaged) -> None:
    async with engaged.working():
        engaged.keys.set_desired(engaged.secret("openai", "sk-1", 2), keep_old=False)
        await asyncio.sleep(1)
        rotated = engaged.secret("openai", "sk-2", 5)
        engaged.keys.set_desired(rotated, keep_old=True)
        await asyncio.sleep(1)
        assert engaged.cluster.files == {
            "live.openai.token.2": "sk-1",
            "live.openai.token.5": "sk-2",
        }
        engaged.keys.set_desired(rotated, keep_old=True)
        await asyncio.sleep(1)
        engaged.keys.set_desired(rotated, keep_old=False)
        await asyncio.sleep(1)
        assert engaged.cluster.files == {"live.openai.token.5": "sk-2"}


async def test_a_key_that_nobody_names_any_more_is_taken_back_at_once(engaged: Engaged) -> None:
    async with engaged.working():
        engaged.keys.set_desired(engaged.secret("openai", "sk-1", 2), keep_old=False)
        await asyncio.sleep(1)
        engaged.keys.set_desired({}, keep_old=True)
        await asyncio.sleep(1)
        assert engaged.cluster.files == {}


async def test_a_write_that_failed_is_made_again_with_what_counts_then(engaged: Engaged) -> None:
    engaged.cluster.failures = [Unreachable("secret"), TooMany("secret", after_s=20)]
    async with engaged.working():
        engaged.keys.set_desired(engaged.secret("openai", "sk-1", 2), keep_old=False)
        await asyncio.sleep(1)
        engaged.keys.set_desired(engaged.secret("openai", "sk-2", 5), keep_old=False)
        await asyncio.sleep(60)
    assert engaged.cluster.files == {"live.openai.token.5": "sk-2"}
    assert len(engaged.cluster.applied) == 1
    assert engaged.cluster.applied[0][0] >= 22, "two seconds, then as long as the server said"


async def test_somebody_deleted_it(engaged: Engaged) -> None:
    async with engaged.working():
        engaged.keys.reapply()
        await asyncio.sleep(1)
        assert engaged.cluster.applied == [], (
            "before the first decision an empty one would take every key from the pods"
        )
        engaged.keys.set_desired(engaged.secret("openai", "sk-1", 2), keep_old=False)
        await asyncio.sleep(1)
        engaged.keys.reapply()
        await asyncio.sleep(1)
    assert [data for _, data in engaged.cluster.applied] == [engaged.cluster.applied[0][1]] * 2


async def test_a_value_is_in_no_line_and_no_representation(engaged: Engaged) -> None:
    engaged.cluster.failures = [Unreachable("secret", "made to fail")]
    with capture_logs() as lines:
        async with engaged.working():
            engaged.keys.set_desired(engaged.secret("openai", "sk-canary", 2), keep_old=False)
            await asyncio.sleep(10)
            engaged.keys.set_desired(engaged.secret("openai", "sk-canary-two", 5), keep_old=True)
            await asyncio.sleep(10)
    assert [line["event"] for line in lines] == ["session_keys_not_written", "session_keys_written"]
    said = f"{lines!r} {vars(engaged.observed)!r}"
    assert "live.openai.token.5" in said, "files are named"
    for value in ("sk-canary", "sk-canary-two"):
        assert value not in said
        assert base64.b64encode(value.encode()).decode() not in said
