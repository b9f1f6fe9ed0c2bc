"""The documents about roles and reasons say what the code says."""

import re

from vtuber_operator.api.rbac import RULES, Where, role_rules, table
from vtuber_operator.api.status import EventReason, Reason
from vtuber_operator.crd import ROOT
from vtuber_operator.settings import OperatorSettings


def test_the_table_of_verbs_is_as_the_rules_are() -> None:
    assert table() in (ROOT / "docs/operator-rbac.md").read_text(encoding="utf-8")


def test_every_reason_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/vtubersession.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {
        str(reason) for reason in Reason
    }
    assert all(f"`{reason}`" in text for reason in EventReason)


def test_writing_secrets_and_config_maps_is_limited_to_one_name() -> None:
    rules = role_rules(
        Where.OWN, OperatorSettings(session_keys_secret="a-keys", flags_configmap="a-flags")
    )
    assert {rule["resources"][0]: rule["resourceNames"] for rule in rules} == {
        "secrets": ["a-keys"],
        "configmaps": ["a-flags"],
    }
    assert all("get" not in rule.verbs and "*" not in rule.verbs for rule in RULES)
