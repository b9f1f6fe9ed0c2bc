import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from dialog_contracts.http import FlagSet
from dialog_flags.flags import Flag, validate
from vtuber_cli.console import Console
from vtuber_cli.flags import KubeTarget, change, flip, show

KUBECTL = """#!{python}
import json, pathlib, sys
home = pathlib.Path({home!r})
with (home / "asked").open("a") as asked:
    asked.write(json.dumps(sys.argv[1:]) + "\\n")
sys.stdout.write((home / "out").read_text())
sys.stderr.write((home / "err").read_text())
sys.exit(int((home / "status").read_text()))
"""


class Kubectl:
    """A kubectl that says what it is told to say, and keeps what it was asked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        program = home / "kubectl"
        program.write_text(KUBECTL.format(python=sys.executable, home=str(home)))
        program.chmod(0o755)
        self.says()

    def says(self, out: str = "", err: str = "", status: int = 0) -> None:
        for name, text in (("out", out), ("err", err), ("status", str(status))):
            (self.home / name).write_text(text)

    @property
    def asked(self) -> list[list[str]]:
        path = self.home / "asked"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Kubectl(tmp_path)


@pytest.mark.parametrize("flag", list(Flag))
def test_the_patch_is_legal_whatever_was_said_before(flag: Flag) -> None:
    for before in (True, False):
        for on in (True, False):
            after = {**dict.fromkeys(map(str, Flag), before), **change(flag, on=on)}
            assert validate(FlagSet(**after)) == []
            assert after[flag] is on


def test_off_is_one_patch_that_is_printed_and_done(kubectl: Kubectl) -> None:
    out = io.StringIO()
    place = KubeTarget("vtuber", "kind-vtuber")
    assert (
        flip(
            "live-001",
            Flag.SYNC_TTS_STREAMING,
            on=False,
            place=place,
            dry=False,
            console=Console(out),
        )
        == 0
    )
    (asked,) = kubectl.asked
    assert asked[:-1] == [
        "--context",
        "kind-vtuber",
        "-n",
        "vtuber",
        "patch",
        "vts",
        "live-001",
        "--type=merge",
        "-p",
    ]
    assert json.loads(asked[-1]) == {
        "spec": {"flags": {"SYNC_TTS_BARGE_IN": False, "SYNC_TTS_STREAMING": False}}
    }
    assert shlex.split(out.getvalue().splitlines()[0]) == ["kubectl", *asked]
    assert "SYNC_TTS_BARGE_IN off, SYNC_TTS_STREAMING off." in out.getvalue()


def test_a_dry_run_only_prints(kubectl: Kubectl) -> None:
    out = io.StringIO()
    assert (
        flip(
            "x", Flag.ENABLE_SYNC_CORE, on=False, place=KubeTarget(), dry=True, console=Console(out)
        )
        == 0
    )
    assert kubectl.asked == []
    assert out.getvalue().startswith("kubectl patch vts x --type=merge -p ")


def test_what_the_cluster_refuses_is_one_sentence(kubectl: Kubectl) -> None:
    out = io.StringIO()
    kubectl.says(
        err='Error from server (NotFound): vtubersessions.vtuber.dev "x" not found', status=1
    )
    assert (
        flip("x", Flag.ENABLE_LTM, on=True, place=KubeTarget(), dry=False, console=Console(out))
        == 1
    )
    assert "Nothing was changed: there is no VtuberSession x in that namespace" in out.getvalue()
    kubectl.says(err="The connection to the server was refused", status=1)
    assert (
        flip("x", Flag.ENABLE_LTM, on=True, place=KubeTarget(), dry=False, console=Console(out))
        == 1
    )
    assert out.getvalue().endswith(
        "Nothing was changed: The connection to the server was refused\n"
    )


def test_without_kubectl_the_command_is_there_to_be_typed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = io.StringIO()
    assert (
        flip("x", Flag.ENABLE_LTM, on=False, place=KubeTarget(), dry=False, console=Console(out))
        == 1
    )
    assert "kubectl is not on PATH" in out.getvalue()
    assert out.getvalue().startswith("kubectl patch")


def test_show_says_what_is_on_and_what_is_on_its_way(kubectl: Kubectl) -> None:
    out = io.StringIO()
    flags = [
        {
            "name": "ENABLE_SYNC_CORE",
            "effective": True,
            "phase": "On",
            "acknowledgedPods": 4,
            "livePods": 4,
        },
        {
            "name": "SYNC_TTS_STREAMING",
            "effective": False,
            "phase": "TurningOn",
            "acknowledgedPods": 1,
            "livePods": 4,
        },
    ]
    kubectl.says(
        json.dumps({"spec": {"flags": {"SYNC_TTS_STREAMING": True}}, "status": {"flags": flags}})
    )
    assert show("live-001", place=KubeTarget(), console=Console(out)) == 0
    first, second = out.getvalue().splitlines()
    assert first == "  ENABLE_SYNC_CORE       on  On; 4 of 4 pods use it"
    assert second == "  SYNC_TTS_STREAMING     off TurningOn, wanted on; 1 of 4 pods use it"


def test_a_resource_that_no_operator_looks_at_says_so(kubectl: Kubectl) -> None:
    out = io.StringIO()
    kubectl.says(json.dumps({"spec": {"sessionId": "live-001"}}))
    show("live-001", place=KubeTarget(), console=Console(out))
    assert "No operator has processed live-001 yet" in out.getvalue()
