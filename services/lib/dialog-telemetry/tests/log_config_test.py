import json
import logging

import pytest
import structlog

from dialog_telemetry import log_config, trace_context


@pytest.fixture(autouse=True)
def _restore() -> object:
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers, logging.getLogger().level = handlers, level


def test_lines_of_a_turn_carry_its_name_and_trace(capsys: pytest.CaptureFixture[str]) -> None:
    log_config.configure("svc")
    log = structlog.get_logger()
    with (
        trace_context.span("t", parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        log_config.turn_lines("live-001", 7),
    ):
        log.info("spoke", words=3)
    log.info("after")
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["correlationId"] == "live-001#7"
    assert first["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert first["service"] == "svc"
    assert first["words"] == 3
    assert "correlationId" not in second


def test_library_lines_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    log_config.configure("svc")
    logging.getLogger("some.library").warning("odd: %s", "结果")
    line = json.loads(capsys.readouterr().out)
    assert line["event"] == "odd: 结果"
    assert line["level"] == "warning"
    assert line["service"] == "svc"
