import io

import pytest

from vtuber_cli.console import Console
from vtuber_cli.progress import ProgressBar


def test_elsewhere_than_on_a_terminal_it_is_one_line() -> None:
    out = io.StringIO()
    with ProgressBar(Console(out, colours=False), "tiny 1.0", 10_000_000) as bar:
        bar.show(5_000_000)
        assert out.getvalue() == ""
        bar.show(10_000_000)
    assert out.getvalue().count("\n") == 1
    assert "10 of 10 MB" in out.getvalue()


def test_on_a_terminal_the_line_is_written_over_and_ends_with_what_became_of_it() -> None:
    out = io.StringIO()
    with (
        pytest.raises(OSError, match="full"),
        ProgressBar(Console(out, colours=True), "tiny 1.0", 10_000_000) as bar,
    ):
        bar.show(5_000_000)
        assert out.getvalue().endswith(f"{'█' * 15}{'░' * 15}    5 of 10 MB")
        raise OSError("the disk is full")
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("failed\n")
