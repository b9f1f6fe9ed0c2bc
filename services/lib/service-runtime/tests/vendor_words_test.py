from service_runtime.vendor_words import DETAIL_CHARS, printable


def test_details_are_short_single_lines_without_secrets() -> None:
    detail = printable("bad key hunter2\nand sk-abc123 and Bearer xyz.z " + "x" * 500, ["hunter2"])
    assert len(detail) == DETAIL_CHARS
    assert detail.startswith("bad key *** and *** and *** x")


def test_an_empty_secret_cuts_nothing() -> None:
    assert printable("as it was", [""]) == "as it was"
