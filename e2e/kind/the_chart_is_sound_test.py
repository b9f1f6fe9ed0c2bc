"""What can be said of the chart without installing it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.kind.programs import ROOT, run
from e2e.kind.release import CHART

EVERYTHING = {
    "ingress.enabled": "true",
    "gateway.autoscaling.enabled": "true",
    "inputHandler.autoscaling.enabled": "true",
    "operator.clusterWide": "true",
    "dialogEngine.llm.apiKeySecret.name": "key",
    "image.registry": "registry.example.org/team",
}
MAIN = ("gateway", "input-handler", "dialog-engine", "output-handler")
LEGACY = ("memory", "chat-ai", "tts", "asr", "long-term-memory")
WORKERS = ("ltm-worker", "analytics-worker")


def rendered(helm: str, *values: str) -> list[dict[str, Any]]:
    said = run(
        helm,
        "template",
        "vtuber",
        str(CHART),
        "-n",
        "somewhere",
        "--kube-version",
        "1.35.0",
        *values,
    )
    return [document for document in yaml.safe_load_all(said) if document]


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for document in documents:
        if document["kind"] in ("Deployment", "StatefulSet"):
            yield document["metadata"]["name"], document["spec"]["template"]
        elif document["kind"] == "Pod":
            yield document["metadata"]["name"], document


def everything() -> list[str]:
    return ["--set", ",".join(f"{name}={value}" for name, value in EVERYTHING.items())]


def test_helm_finds_nothing_to_say(helm: str) -> None:
    run(helm, "lint", "--strict", str(CHART), "--kube-version", "1.35.0")
    run(helm, "lint", "--strict", str(CHART), "--kube-version", "1.35.0", *everything())


def test_the_definition_in_the_chart_is_the_one_in_crds() -> None:
    for source in sorted((ROOT / "crds").glob("*.yaml")):
        assert (CHART / "files" / "crds" / source.name).read_bytes() == source.read_bytes()


def test_the_definition_is_rendered_whole_and_kept(helm: str) -> None:
    source = yaml.safe_load((ROOT / "crds" / "vtubersessions.vtuber.dev.yaml").read_text())
    [found] = [
        document for document in rendered(helm) if document["kind"] == "CustomResourceDefinition"
    ]
    assert found["spec"] == source["spec"]
    assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert not [
        document
        for document in rendered(helm, "--set", "crds.enabled=false")
        if document["kind"] == "CustomResourceDefinition"
    ]


def test_the_chart_renders_nothing_that_the_operator_writes(helm: str) -> None:
    documents = rendered(helm, *everything())
    kinds = {document["kind"] for document in documents}
    assert "VtuberSession" not in kinds
    names = {
        document["metadata"]["name"]
        for document in documents
        if document["kind"] in ("ConfigMap", "Secret")
    }
    assert names == {"vtuber-test"}
    for name, pod in pods(documents):
        for volume in pod["spec"].get("volumes", []):
            source = volume.get("configMap") or volume.get("secret")
            if source and volume["name"] != "script":
                assert source["optional"] is True, f"{name} waits for {volume['name']}"


def test_an_autoscaled_component_has_no_number_of_its_own(helm: str) -> None:
    found = {
        document["metadata"]["name"]: document
        for document in rendered(helm, *everything())
        if document["kind"] == "Deployment"
    }
    assert "replicas" not in found["vtuber-gateway"]["spec"]
    assert "replicas" not in found["vtuber-input-handler"]["spec"]
    assert found["vtuber-output-handler"]["spec"]["replicas"] == 1


def test_another_number_of_engines_rolls_no_engine(helm: str) -> None:
    one, two = (
        dict(pods(rendered(helm, "--set", f"dialogEngine.replicas={number}"))) for number in (1, 2)
    )
    assert [name for name in one if one[name] != two[name]] == ["vtuber-input-handler"]


def test_every_pod_is_restricted_and_reads_only(helm: str) -> None:
    seen = 0
    for name, pod in pods(rendered(helm, *everything())):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is (
            name in ("vtuber-operator", "vtuber-test")
        ), name
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"], name
            assert container["resources"]["limits"]["memory"], name
            assert len({entry["name"] for entry in container.get("env", [])}) == len(
                container.get("env", [])
            ), f"{name}: a name twice"
            seen += 1
    assert seen == len((*MAIN, *LEGACY, *WORKERS, "operator", "redis", "test"))


def test_a_leaving_pod_has_time_for_what_it_promises(helm: str) -> None:
    for name, pod in pods(rendered(helm)):
        container = pod["spec"]["containers"][0]
        serves_on = (
            container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        drains = int(
            next(
                (
                    entry["value"]
                    for entry in container.get("env", [])
                    if entry["name"] == "SHUTDOWN_GRACE_S"
                ),
                0,
            )
        )
        assert pod["spec"].get("terminationGracePeriodSeconds", 30) > serves_on + drains, name


def test_policies_are_the_data_flow(helm: str) -> None:
    """Who carries the label of a client is who the policies let in, and who they let out."""
    documents = rendered(helm)
    flow = {
        (
            pod["metadata"]["labels"]["app.kubernetes.io/name"],
            label.removeprefix("vtuber.dev/client-of-"),
        )
        for _, pod in pods(documents)
        for label in pod["metadata"]["labels"]
        if label.startswith("vtuber.dev/client-of-")
    }
    assert flow == {
        ("test", "gateway"),
        ("gateway", "input-handler"),
        ("gateway", "output-handler"),
        ("input-handler", "dialog-engine"),
        ("input-handler", "output-handler"),
        ("input-handler", "asr"),
        ("dialog-engine", "output-handler"),
        ("gateway", "analytics-worker"),
        ("ltm-worker", "long-term-memory"),
        *((component, "redis") for component in (*MAIN, *LEGACY, *WORKERS, "operator")),
    }
    out = {
        (
            policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"],
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"],
        )
        for policy in documents
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "podSelector" in peer
    }
    assert out == flow - {("test", "gateway")}


def test_pods_that_take_flags_say_so(helm: str) -> None:
    told = {
        name
        for name, pod in pods(rendered(helm))
        if pod["metadata"]["labels"].get("vtuber.dev/flags") == "true"
    }
    assert told == {f"vtuber-{name}" for name in (*MAIN, "chat-ai", "tts")}, (
        "who asks sessions' documents"
    )


def test_microphones_keep_asr_when_the_rest_of_the_chain_is_gone(helm: str) -> None:
    def heard_by(**enabled: bool) -> tuple[bool, bool]:
        documents = rendered(
            helm, *(f"--set={part}.enabled={str(on).lower()}" for part, on in enabled.items())
        )
        found = dict(pods(documents))
        asked = {
            entry["name"]: entry.get("value")
            for entry in found["vtuber-input-handler"]["spec"]["containers"][0]["env"]
        }
        return "vtuber-asr" in found, "ASR_URL" in asked

    assert heard_by(legacy=True, microphone=True) == (True, True)
    assert heard_by(legacy=False, microphone=True) == (True, True)
    assert heard_by(legacy=True, microphone=False) == (True, False), "recordings need it"
    assert heard_by(legacy=False, microphone=False) == (False, False)


def test_without_the_legacy_chain_nothing_of_it_is_left_and_services_know(helm: str) -> None:
    documents = rendered(
        helm,
        "--set",
        "legacy.enabled=false,microphone.enabled=false,asyncWorkers.enabled=false",
    )
    assert not {name for name, _ in pods(documents)} & {f"vtuber-{name}" for name in LEGACY}
    assert "chat-ai" not in json.dumps(documents)
    for without, said in ((True, "false"), (False, "true")):
        found = dict(pods(documents if without else rendered(helm)))
        for name in ("vtuber-input-handler", "vtuber-dialog-engine"):
            env = {
                entry["name"]: entry.get("value")
                for entry in found[name]["spec"]["containers"][0]["env"]
            }
            assert env["LEGACY_ENABLED"] == said
            assert ("ENGINE_UNAVAILABLE_WAIT_S" in env) is (
                without and name == "vtuber-input-handler"
            )


def test_workers_bring_long_term_memory_and_leave_with_it(helm: str) -> None:
    def installed(**enabled: bool) -> set[str]:
        given = (f"--set={part}.enabled={str(on).lower()}" for part, on in enabled.items())
        names = {name.removeprefix("vtuber-") for name, _ in pods(rendered(helm, *given))}
        return names & {*WORKERS, "long-term-memory"}

    assert installed(asyncWorkers=True, legacy=False) == {*WORKERS, "long-term-memory"}
    assert installed(asyncWorkers=False, legacy=True) == {"long-term-memory"}
    assert installed(asyncWorkers=False, legacy=False) == set()


def test_a_setting_of_the_user_replaces_the_charts(helm: str) -> None:
    given = (
        "--set-json",
        'gateway.extraEnv=[{"name":"LOG_LEVEL","value":"DEBUG"},{"name":"MAX_CONNECTIONS_PER_CLIENT","value":"9"}]',
    )
    env = {
        name: pod["spec"]["containers"][0].get("env", [])
        for name, pod in pods(rendered(helm, *given))
    }
    assert [entry["value"] for entry in env["vtuber-gateway"] if entry["name"] == "LOG_LEVEL"] == [
        "DEBUG"
    ]
    assert [
        entry["value"] for entry in env["vtuber-output-handler"] if entry["name"] == "LOG_LEVEL"
    ] == ["INFO"]


@pytest.mark.parametrize(
    "given",
    ["redis.external.url=redis://elsewhere:6379/1", "redis.external.urlSecret.name=address"],
)
def test_a_redis_elsewhere_is_the_only_one(helm: str, given: str) -> None:
    documents = rendered(helm, "--set", given)
    assert not [
        document for document in documents if document["metadata"]["name"] == "vtuber-redis"
    ]
    for name, pod in pods(documents):
        for entry in pod["spec"]["containers"][0].get("env", []):
            if entry["name"] == "REDIS_URL":
                assert "elsewhere" in json.dumps(entry) or "address" in json.dumps(entry), name


def test_every_value_is_explained_and_nothing_else_is_allowed() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(node: dict[str, Any], value: object, path: str) -> None:
        target = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else {}
        merged = {**target, **node}
        assert path == "" or merged.get("description"), f"{path} has no description"
        if "properties" not in merged:
            return
        assert merged["additionalProperties"] is False, path
        assert isinstance(value, dict), path
        known = set(merged["properties"]) - ({"global"} if path == "" else set())
        if path.endswith(".resources"):
            return
        assert known == set(value), f"{path or 'values'}: schema and values.yaml differ"
        for name in known:
            compare(merged["properties"][name], value[name], f"{path}.{name}")

    compare(schema, values, "")


def environment(documents: list[dict[str, Any]], component: str) -> dict[str, str]:
    """What a component's container is told."""
    [pod] = [pod for name, pod in pods(documents) if name == f"vtuber-{component}"]
    return {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}


def test_the_gateway_answers_to_the_names_that_lead_to_it(helm: str) -> None:
    service = "vtuber-gateway,vtuber-gateway.somewhere,vtuber-gateway.somewhere.svc,vtuber-gateway.somewhere.svc.cluster.local"
    assert environment(rendered(helm), "gateway")["ALLOWED_HOSTS"] == service
    told = environment(
        rendered(
            helm,
            "--set",
            "ingress.enabled=true,ingress.host=live.example.org,gateway.allowedHosts={a.example,*.b.example}",
            "--set",
            "gateway.trustedProxies={10.0.0.0/8,fd00::/8}",
        ),
        "gateway",
    )
    assert told["ALLOWED_HOSTS"] == f"{service},live.example.org,a.example,*.b.example"
    assert told["TRUSTED_PROXIES"] == "10.0.0.0/8,fd00::/8"


def test_each_engine_answers_to_its_own_name(helm: str) -> None:
    documents = rendered(helm, "--set", "dialogEngine.replicas=2")
    urls = environment(documents, "input-handler")["DIALOG_ENGINE_URLS"].split(",")
    names = [url.removeprefix("http://").partition(":")[0] for url in urls]
    assert names == [
        "vtuber-dialog-engine-0.vtuber-dialog-engine-pods",
        "vtuber-dialog-engine-1.vtuber-dialog-engine-pods",
    ]
    assert environment(documents, "dialog-engine")["ALLOWED_HOSTS"] == "*.vtuber-dialog-engine-pods"
