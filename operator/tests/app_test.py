"""The whole operator between an API server and a Valkey.

Steps, restarts, failures, and no key anywhere it does not belong.
"""

import asyncio
import base64
import json
import logging
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from dialog_contracts.session_document import FlagTable
from vtuber_operator.api.rbac import RULES
from vtuber_operator.testing.api_server import ApiServer, pod, session
from vtuber_operator.testing.redis_server import FakePod, RedisServer
from vtuber_operator.testing.wait import Operating, until

STREAMING, BARGE_IN = "SYNC_TTS_STREAMING", "SYNC_TTS_BARGE_IN"
CANARY = "sk-canary-9f8e7d"
KEYED = {
    "provider": "openai",
    "model": "m",
    "apiKey": {"secretKeyRef": {"name": "openai", "key": "token"}},
}


def secret(value: str = CANARY) -> dict[str, Any]:
    labels = {"vtuber.dev/session-key": "true"}
    return {
        "metadata": {"name": "openai", "labels": labels},
        "data": {"token": base64.b64encode(value.encode()).decode()},
    }


async def test_flags_go_on_one_by_one_and_events_tell_the_story(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("vtubersessions", session("live-001", STREAMING, BARGE_IN))
    async with FakePod(store.url, "engine-0").following() as engine, operating():
        await until(lambda: api.ready("live-001") == "True", "Ready")
        assert engine.documents["live-001"].flags.SYNC_TTS_BARGE_IN
        assert api.session("live-001")["status"]["effective"] == "CORE,STREAMING,BARGE_IN"
        await until(lambda: len(api.events) >= 3, "events")
        assert [event["reason"] for event in api.events] == ["FlagOn", "FlagOn", "Ready"]
        assert "annotations" not in api.session("live-001")["metadata"]
        assert "finalizers" not in api.session("live-001")["metadata"]
        await until(lambda: ("configmaps", "vt", "vtuber-flags") in api.objects, "ConfigMap")
        await until(
            lambda: "BARGE_IN" in str(api.objects["configmaps", "vt", "vtuber-flags"]),
            "table follows",
        )
        await until(
            lambda: table(api).documents == list(engine.documents.values()),
            "the table is what pods go by",
        )
        await api.delete("vtubersessions", "live-001")
        await until(lambda: engine.documents == {}, "the document goes with its resource")


def table(api: ApiServer) -> FlagTable:
    return FlagTable.from_json(
        api.objects["configmaps", "vt", "vtuber-flags"]["data"]["flags.json"]
    )


async def test_a_restart_in_the_middle_of_a_step_goes_on_from_there(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("vtubersessions", session("live-001", STREAMING, BARGE_IN))
    engine = FakePod(store.url, "engine-0")
    async with operating() as operator:
        await until(lambda: operator.writer.revision > 0, "first write")
        await engine.acknowledge()
        await until(
            lambda: api.session("live-001")["status"]["effective"] == "CORE,STREAMING", "first step"
        )
    before = api.session("live-001")["status"]["generation"]
    await asyncio.sleep(0.1)
    assert api.session("live-001")["status"]["generation"] == before, (
        "while the operator is away flags stay"
    )
    async with operating(), engine.following():
        await until(lambda: api.ready("live-001") == "True", "Ready")
    assert api.session("live-001")["status"]["effective"] == "CORE,STREAMING,BARGE_IN"


async def test_what_was_deleted_while_the_operator_was_away_goes(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    for name in ("live-001", "live-002"):
        await api.apply("vtubersessions", session(name))
    async with FakePod(store.url, "engine-0").following() as engine:
        async with operating():
            await until(lambda: len(engine.documents) == 2, "both are there")
        await api.delete("vtubersessions", "live-001")
        async with operating():
            await until(lambda: set(engine.documents) == {"live-002"}, "the deleted one is gone")


async def test_equal_content_is_not_written_again(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("vtubersessions", session("live-001"))
    async with FakePod(store.url, "engine-0").following() as engine:
        async with operating():
            await until(lambda: api.ready("live-001") == "True", "Ready")
            await until(lambda: not_said(api) == [], "numbers and sentences follow")
        patches, seen = len(statuses(api)), engine.seen[-1]
        async with operating() as operator:
            await until(lambda: operator.reconciler.passes >= 3, "passes")
        assert statuses(api)[patches:] == []
        assert engine.seen[-1] == seen


def statuses(api: ApiServer) -> list[dict[str, Any]]:
    return [body["status"] for kind, body in api.patched if kind == "vtubersessions"]


def not_said(api: ApiServer) -> list[str]:
    status = api.session("live-001")["status"]
    return [flag["name"] for flag in status["flags"] if flag["acknowledgedPods"] != 1]


async def test_redis_emptied_is_written_anew_and_pods_never_go_back(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("vtubersessions", session("live-001", STREAMING))
    async with FakePod(store.url, "engine-0").following() as engine, operating():
        await until(lambda: api.ready("live-001") == "True", "Ready")
        last, said = engine.seen[-1], len(api.patched)
        store.stop()
        await api.apply("vtubersessions", session("live-002"))
        await until(
            lambda: bool(api.session("live-002").get("status")), "statuses go on without Redis"
        )
        await until(
            lambda: {each.session_id for each in table(api).documents} == {"live-001", "live-002"},
            "the table too",
        )
        store.start()
        await until(lambda: engine.documents.keys() == {"live-001", "live-002"}, "written anew")
        assert engine.seen[-1] > last
        await until(lambda: api.ready("live-002") == "True", "Ready")
        assert api.ready("live-001") == "True"
        async with Redis.from_url(store.url) as client:
            last = engine.seen[-1]
            await client.flushall()
        await until(
            lambda: engine.seen[-1] > last and len(engine.documents) == 2, "written anew again"
        )
        await asyncio.sleep(0.3)
        assert {
            body["status"]["phase"]
            for _, body in api.patched[said:]
            if body["metadata"]["name"] == "live-001"
        } <= {"Ready"}


async def test_failed_status_writes_are_tried_again(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    api.failures["patch", "vtubersessions/status"] = [409, 429, 500, 422]
    async with FakePod(store.url, "engine-0").following(), operating() as operator:
        for name in ("a", "b", "c"):
            await api.apply("vtubersessions", session(name))
        await until(
            lambda: [api.ready(name) for name in ("a", "b", "c")].count("True") >= 2,
            "Ready but for the refused one",
        )
        assert operator.reconciler.passes > 0


async def test_deletions_that_a_broken_watch_did_not_tell_are_found(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    for name in ("live-001", "live-002"):
        await api.apply("vtubersessions", session(name))
    async with FakePod(store.url, "engine-0").following() as engine, operating():
        await until(lambda: len(engine.documents) == 2, "both are there")
        del api.objects["vtubersessions", "vt", "live-001"]
        api.forget_history()
        api.break_watches()
        await until(lambda: set(engine.documents) == {"live-002"}, "410, a list anew, an audit")
        await api.apply("vtubersessions", session("live-003"))
        await until(lambda: "live-003" in engine.documents, "watches go on")


async def test_without_the_crd_it_says_so_and_begins_when_it_is_there(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    api.has_crd = False
    async with FakePod(store.url, "engine-0").following() as engine, operating() as operator:
        await until(
            lambda: "kubectl apply" in str(operator.health.unready()), "not ready, with what to do"
        )
        assert operator.health.unhealthy() == [], "a restart would not help"
        api.has_crd = True
        await api.apply("vtubersessions", session("live-001"))
        await until(lambda: "live-001" in engine.documents, "begins")
        assert operator.health.unready() == []


async def test_a_pod_that_comes_or_goes_counts_from_then_on(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("pods", pod("engine-1", ready=False))
    await api.apply("pods", {**pod("other"), "metadata": {"name": "other", "labels": {}}})
    async with FakePod(store.url, "engine-0").following(), operating() as operator:
        await api.apply("vtubersessions", session("live-001"))
        await until(lambda: api.ready("live-001") == "True", "Ready")
        assert operator.observed.live_pods().keys() == {"engine-0"}
        await api.apply("pods", pod("engine-1"))
        await until(lambda: len(operator.observed.live_pods()) == 2, "seen")
        await api.apply("vtubersessions", session("live-001", STREAMING))
        await until(
            lambda: api.session("live-001")["status"]["observedGeneration"] == 2, "observed"
        )
        await asyncio.sleep(0.1)
        assert api.ready("live-001") == "Unknown"
        await api.delete("pods", "engine-1")
        await until(lambda: api.ready("live-001") == "True", "Ready without it")


async def test_a_key_reaches_the_managed_secret_and_nothing_else(
    api: ApiServer,
    store: RedisServer,
    operating: Operating,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()
    await api.apply("secrets", {**secret("unlabelled-canary"), "metadata": {"name": "private"}})
    await api.apply("vtubersessions", session("live-001", llm=KEYED))
    async with FakePod(store.url, "engine-0").following() as engine, operating() as operator:
        await until(
            lambda: "SecretMissing" in str(api.session("live-001").get("status")),
            "says what is missing",
        )
        assert engine.documents == {} or engine.documents["live-001"].llm is None
        made = await api.apply("secrets", secret())
        file = f"vt.openai.token.{made['metadata']['resourceVersion']}"
        managed = ("secrets", "vt", "vtuber-session-keys")
        await until(
            lambda: file in api.objects.get(managed, {}).get("data", {}), "the file is there"
        )
        assert base64.b64decode(api.objects[managed]["data"][file]).decode() == CANARY
        await until(lambda: api.ready("live-001") == "True", "Ready")
        document = engine.documents["live-001"]
        assert document.llm is not None
        assert document.llm.api_key_file == file

        rotated = await api.apply("secrets", secret("sk-canary-rotated"))
        later = f"vt.openai.token.{rotated['metadata']['resourceVersion']}"
        await until(
            lambda: set(api.objects[managed]["data"]) == {later},
            "the old file goes when nobody needs it",
        )
        await api.delete("secrets", "openai")
        await until(lambda: api.objects[managed]["data"] == {}, "a deleted key is taken back")
        assert operator.observed.secret_value("vt", "private", "token") is None

        async with Redis.from_url(store.url, decode_responses=True) as client:
            in_redis = str(
                [
                    await client.hgetall(str(key))
                    for key in await client.keys("vtuber:flags*")
                    if "revision" not in key
                ]
            )
    encoded = base64.b64encode(CANARY.encode()).decode()
    elsewhere = [
        body
        for (kind, _, name), body in api.objects.items()
        if (kind, name) not in {("secrets", "vtuber-session-keys")}
    ]
    said = (
        json.dumps([elsewhere, api.events]) + in_redis + "".join(capsys.readouterr()) + caplog.text
    )
    assert "canary" not in said.replace("unlabelled-canary", "")
    assert encoded not in said


async def test_every_verb_of_the_role_is_used_and_no_other(
    api: ApiServer, store: RedisServer, operating: Operating
) -> None:
    await api.apply("secrets", secret())
    await api.apply("vtubersessions", session("live-001", STREAMING, llm=KEYED))
    async with FakePod(store.url, "engine-0").following(), operating() as operator:
        await until(lambda: api.ready("live-001") == "True", "Ready")
        await until(lambda: len(api.events) >= 2, "events")
        await until(lambda: ("configmaps", "vt", "vtuber-flags") in api.objects, "ConfigMap")
        await operator.resync.run_once()
    names = {"session_keys_secret": "vtuber-session-keys", "flags_configmap": "vtuber-flags"}
    allowed = {
        (rule.group, rule.resource, verb, names.get(rule.name or "", ""))
        for rule in RULES
        for verb in rule.verbs
    }
    assert api.calls == allowed
