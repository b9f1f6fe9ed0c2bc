import pytest

from vtuber_cli import settings
from vtuber_cli.known_settings import RUN_SETTINGS, closest_setting, of_service, warnings

ORDINARY = """
HOME PATH USER LANG LC_ALL TERM SHELL PWD OLDPWD HOSTNAME HOST HOSTTYPE LOGNAME MAIL EDITOR PAGER DISPLAY TMPDIR TZ SHLVL
PYTHONPATH PYTHONUNBUFFERED VIRTUAL_ENV SSH_AUTH_SOCK XDG_RUNTIME_DIR http_proxy HTTPS_PROXY NO_PROXY OPENAI_ORG_ID
OPENAI_API_TYPE OPENAI_API_VERSION OMP_NUM_THREADS KUBECONFIG DOCKER_HOST REDIS_HOST REDIS_PORT DATABASE_URL LOGLEVEL_X
"""


@pytest.fixture
def known() -> set[str]:
    return {
        *RUN_SETTINGS,
        *(name for spec in settings.load().services for name in of_service(spec.module)),
    }


def test_names_are_those_of_the_services_own_settings() -> None:
    names = of_service("input_handler")
    assert {
        "DIALOG_ENGINE_URL",
        "DIALOG_ENGINE_URLS",
        "ENABLE_SYNC_CORE",
        "REDIS_URL",
        "PORT",
    } <= names
    assert "OPENAI_API_KEY" in of_service("tts")
    assert "OPENAI_API_KEY" not in of_service("gateway")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("OPENAI_API_KY", "OPENAI_API_KEY"),
        ("openai_apikey", "OPENAI_API_KEY"),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        ("LLM_MODLE", "LLM_MODEL"),
        ("VOICE_CHAINS", "VOICE_CHAIN"),
        ("REDIS_URI", "REDIS_URL"),
        ("ENABLE_SYNCCORE", "ENABLE_SYNC_CORE"),
        ("VTUBER_ULR", "VTUBER_URL"),
    ],
)
def test_what_is_nearly_a_setting_is_told_which_one(
    known: set[str], written: str, wanted: str
) -> None:
    assert warnings([written], known) == [f"{written} is no setting: did you mean {wanted}?"]


def test_settings_and_ordinary_variables_are_not_remarked_on(known: set[str]) -> None:
    assert warnings([*known, *ORDINARY.split(), *(name.lower() for name in known)], known) == []


def test_a_short_name_is_near_to_too_many(known: set[str]) -> None:
    assert closest_setting("PORTS", known) is None
