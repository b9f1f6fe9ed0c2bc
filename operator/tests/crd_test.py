"""The CRD's files are as the models are, and the models and the schema agree."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from dialog_flags.flags import REQUIRES
from vtuber_operator import crd
from vtuber_operator.api.spec import Spec
from vtuber_operator.api.status import Status
from vtuber_operator.testing.in_memory_cluster import (
    BARGE_IN,
    START_MS,
    STREAMING,
    InMemoryCluster,
    spec,
)

SCHEMA: dict[str, Any] = crd.document()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
EXAMPLES = sorted((crd.ROOT / "crds/examples").glob("*.yaml"))


def test_the_files_are_as_the_models_are() -> None:
    assert crd.drift(crd.ROOT) == []


def test_drift_is_said_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main(["--check"], tmp_path) == 1
    assert "is missing" in capsys.readouterr().err
    assert crd.main(["--write"], tmp_path) == 0
    assert crd.main(["--check"], tmp_path) == 0
    (tmp_path / crd.COPIES[1]).write_text("older")
    assert crd.drift(tmp_path) == [f"{crd.COPIES[1]} is not as the models are"]


def walk(node: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, node)]
    for name, part in node.get("properties", {}).items():
        found += walk(part, f"{path}.{name}")
    return found + (walk(node["items"], f"{path}[]") if "items" in node else [])


def test_the_schema_is_structural_bounded_and_described() -> None:
    assert not {"$ref", "anyOf", "nullable", "title", "$defs"} & set(
        json.dumps(SCHEMA).replace('"', " ").split()
    )
    for path, node in walk(SCHEMA):
        assert node.get("type"), path
        assert node.get("description", "").strip(), path
        if node["type"] == "string":
            assert "maxLength" in node or "enum" in node, path
        if node["type"] == "array":
            assert "maxItems" in node, path


def test_every_dependency_has_a_rule_that_names_the_missing_flag() -> None:
    messages = [
        rule["message"]
        for rule in SCHEMA["properties"]["spec"]["properties"]["flags"]["x-kubernetes-validations"]
    ]
    assert len(messages) == len(REQUIRES)
    for flag, needed in REQUIRES.items():
        assert any(message.startswith(f"{flag} needs {needed}") for message in messages)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        if document["kind"] == "VtuberSession":
            jsonschema.validate(document, SCHEMA)
            Spec.model_validate(document["spec"])


def test_what_the_operator_writes_fits_the_schema() -> None:
    cluster = InMemoryCluster(pods={"engine-0": START_MS})
    cluster.apply("one", spec("live-001", STREAMING, BARGE_IN))
    for _ in range(4):
        cluster.operate()
        status = cluster.bodies["live", "one"]["status"]
        jsonschema.validate(status, SCHEMA["properties"]["status"])
        assert Status.model_validate(status).model_dump(mode="json", by_alias=True) == status
        cluster.acknowledge()
