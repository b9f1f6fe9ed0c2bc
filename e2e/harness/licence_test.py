"""Everything that is published says under which licence, and the licence is there."""

import tomllib

import yaml

from e2e.harness.stack import ROOT

APACHE = "Apache-2.0"


def test_the_licence_is_apache_and_every_member_and_the_chart_say_so() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    members = [*ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("services/lib/*/pyproject.toml")]
    members += [
        ROOT / "cli/pyproject.toml",
        ROOT / "operator/pyproject.toml",
        ROOT / "pyproject.toml",
    ]
    assert len(members) > 15
    said = {
        file: tomllib.loads(file.read_text()).get("project", {}).get("license") for file in members
    }
    assert {file for file, licence in said.items() if licence != APACHE} == set()
    chart = yaml.safe_load((ROOT / "charts/vtuber/Chart.yaml").read_text())
    assert chart["annotations"]["artifacthub.io/license"] == APACHE
