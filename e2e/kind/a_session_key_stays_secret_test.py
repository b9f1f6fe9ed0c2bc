"""A key that a VtuberSession refers to reaches the engine as a file, and appears nowhere else.

No event, annotation, status, log, Redis.
"""

import json
from collections.abc import Callable

from e2e.kind import sessions, timeouts
from e2e.kind.client import room
from e2e.kind.namespace import Namespace
from e2e.kind.release import Release
from e2e.kind.sessions import STREAMING

OPERATOR = ("--set", "operator.enabled=true")
CANARY = "sk-canary-7f3a9c"


def secret(namespace: Namespace, *, labelled: bool) -> None:
    wanted = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "openai",
            "labels": {"vtuber.dev/session-key": "true"} if labelled else {},
        },
        "stringData": {"api-key": CANARY},
    }
    namespace.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(wanted))


async def test_a_key_from_an_absent_secret_to_a_mounted_file(
    namespace: Namespace, release: Callable[..., Release]
) -> None:
    release("helm", *OPERATOR).upgrade()
    place = room(namespace)
    await place.talks_again()
    llm = {
        "provider": "openai",
        "baseUrl": "http://127.0.0.1:9/v1",
        "apiKey": {"secretKeyRef": {"name": "openai", "key": "api-key"}},
    }
    sessions.apply(namespace, sessions.resource("keyed", place.session, STREAMING, llm=llm))

    def says(word: str) -> bool:
        found = sessions.condition(namespace, "keyed", "SecretsReady")
        return found.get("status") == "False" and word in found.get("message", "")

    namespace.until("the missing Secret is named", lambda: says("openai"), timeouts.SESSION_READY)
    secret(namespace, labelled=False)
    namespace.until(
        "the missing label is named", lambda: says("vtuber.dev/session-key"), timeouts.SESSION_READY
    )
    assert (await place.say()).events[-1] == "done", "meanwhile the engine's own model answers"
    secret(namespace, labelled=True)
    took = sessions.ready(namespace, "keyed", timeouts.SECRET_MOUNTED)
    print(f"from the label to Ready: {took:.0f} s")
    mounted = namespace.kubectl("exec", "vtuber-dialog-engine-0", "--", "python", "-c", READ)
    assert CANARY in mounted

    for what in ("events", "vts", "configmaps", "pods"):
        assert CANARY not in namespace.kubectl("get", what, "-o", "yaml"), what
    for workload in (
        "deployment/vtuber-operator",
        "statefulset/vtuber-dialog-engine",
        "deployment/vtuber-input-handler",
    ):
        assert CANARY not in namespace.kubectl("logs", workload), workload
    assert CANARY not in namespace.kubectl(
        "exec", "vtuber-redis-0", "--", "valkey-cli", "HGETALL", "vtuber:flags"
    )


READ = """
import os, pathlib
for file in pathlib.Path(os.environ["SESSION_KEYS_DIR"]).iterdir():
    if file.is_file():
        print(file.read_text())
"""
