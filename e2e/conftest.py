"""Systems for all tests here.

With a model and voice of known timing, as a newcomer starts it, with an engine that fails on
demand.
"""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from e2e.harness import exclusive, faulty_process
from e2e.harness.stack import FAKES, Stack, running

HERE = Path(__file__).parent
SYSTEMS = ("fake_models", "as_newcomer", "with_fallback")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "alone: promises seconds on the wall; runs while no other worker is inside a test",
    )


# Around everything else: a test's own timeout is not for its waiting.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with exclusive.place(alone=item.get_closest_marker("alone") is not None):
        return (yield)


# First: xdist reads the groups in this hook too, and its plugin is asked before a conftest.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup`.

    Tests of the same system are run by the same worker, so that it is started once.
    """
    for item in items:
        used = getattr(item, "fixturenames", ())
        item.add_marker(
            pytest.mark.xdist_group(
                next((name for name in SYSTEMS if name in used), item.path.stem)
            )
        )


@pytest.fixture(scope="session", autouse=True)
def _grouped(request: pytest.FixtureRequest) -> None:
    """Groups that xdist does not see would start every system in every worker, and nobody would say so."""
    if request.config.getoption("loadgroup", False):
        ours = [item.nodeid for item in request.session.items if item.path.is_relative_to(HERE)]
        assert all("@" in name for name in ours), f"xdist does not see the group of {ours[0]}"


@pytest.fixture(scope="session")
def fake_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """36 words, one every 10 ms; 10 ms of sound a character."""
    env = {
        **FAKES,
        "FAKE_FIRST_TOKEN_S": "0.03",
        "FAKE_WORD_S": "0.01",
        "FAKE_VOICE_S": "0.02",
        "FAKE_CHAR_MS": "10",
    }
    with running(tmp_path_factory.mktemp("fake"), env) as stack:
        yield stack


@pytest.fixture(scope="session")
def as_newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Rules and espeak, all flags on: what `make run` gives without a key."""
    with running(
        tmp_path_factory.mktemp("newcomer"), {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}
    ) as stack:
        yield stack


@pytest.fixture(scope="session")
def with_fallback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything there is, with an engine that fails on demand before the real one.

    The circuit stays closed: it has tests of its own.
    """
    env = {**FAKES, "FAKE_WORDS": "8", "FAKE_WORD_S": "0.005", "FAKE_CHAR_MS": "10"}
    with faulty_process.running() as url:
        changes = [
            f"input-handler.DIALOG_ENGINE_URL={url}",
            "input-handler.FIRST_TOKEN_TIMEOUT_S=0.8",
            "input-handler.ENGINE_IDLE_TIMEOUT_S=2",
            "input-handler.CIRCUIT_FAILURES=100",
        ]
        with running(
            tmp_path_factory.mktemp("fallback"), env, legacy=True, changes=changes
        ) as stack:
            yield stack
