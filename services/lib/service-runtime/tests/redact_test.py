from service_runtime.redact import DETAIL_CHARS, host_of, redact


def test_details_are_short_single_lines_without_secrets() -> None:
    detail = redact("bad key hunter2\nand sk-abc123 and Bearer xyz.z " + "x" * 500, ["hunter2"])
    assert len(detail) == DETAIL_CHARS
    assert detail.startswith("bad key *** and *** and *** x")


def test_an_empty_secret_cuts_nothing() -> None:
    assert redact("as it was", [""]) == "as it was"


def test_objects_of_libraries_are_left_out() -> None:
    said = "Cannot connect to host x:443 ssl:<ssl.SSLContext object at 0x7fb9740ea7b0> [Name or service not known]"
    assert redact(said) == "Cannot connect to host x:443 [Name or service not known]"


def test_an_address_is_told_without_its_user_and_query() -> None:
    assert host_of("https://user:secret@api.example:8443/v1?key=x") == "api.example:8443"
    assert host_of("http://ollama/v1") == "ollama"
