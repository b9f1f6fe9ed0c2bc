"""Logs, traces and metrics: every line of a turn carries its name and its trace in every service.

Probes answer everywhere.
"""

import uuid

import pytest
from aiohttp import ClientSession

from e2e.harness.clients import chat, watching
from e2e.harness.stack import Stack

pytestmark = pytest.mark.processes

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_one_trace_from_the_caller_through_every_service(fake_models: Stack) -> None:
    async with watching(fake_models.ws, "traced") as viewer:
        answer = await chat(
            fake_models.url, "traced", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        )
        await viewer.until(lambda v: v.of("CONTROL", "END"))
        assert viewer.of("CONTROL", "START")[0]["traceparent"].split("-")[1] == TRACE
    for service in ("input-handler", "dialog-engine", "output-handler"):
        lines = [
            line
            for line in fake_models.log_lines(service)
            if line.get("correlationId") == f"traced#{answer.turn}"
        ]
        assert lines, service
        assert {line["trace_id"] for line in lines} == {TRACE}, service
        assert {line["service"] for line in lines} == {service}


async def test_no_line_about_a_turn_is_without_its_name(fake_models: Stack) -> None:
    await chat(fake_models.url, "named")
    for service in fake_models.ports:
        for line in fake_models.log_lines(service):
            if str(line["event"]).startswith(("turn_", "speech_", "stopped", "chunk_gap")):
                assert "correlationId" in line, line
                assert len(str(line["trace_id"])) == 32, line


PROCESS_EVENTS = {
    *(
        "listening",
        "handoff_started",
        "draining",
        "migrated",
        "flags_loaded",
        "flags_redis_unavailable",
        "flags_redis_available",
        "subscription_failed",
        "subscription_restored",
        "task_crashed",
    ),
    *(
        "output_connected",
        "output_not_connected",
        "output_handlers_not_found",
        "engine_connected",
        "engine_disconnected",
        "engine_timed_out",
    ),
    *(
        "engine_recovered",
        "unexpected_upstream",
        "circuit",
        "redis_unavailable",
        "redis_available",
        "responses_redis_unavailable",
    ),
    *(
        "responses_redis_available",
        "responses_subscribed",
        "responses_pruned",
        "queue_available",
        "stream_attached",
        "outbox_waits",
        "outbox_continues",
        "queue_unavailable",
        "jobs_reclaimed",
    ),
    *(
        "job_reclaimed_by_another_consumer",
        "job_dead_lettered",
        "adopted",
        "lease_acquired",
        "lease_lost",
        "lease_not_released",
    ),
    *("lease_uncertain", "leases_not_renewed", "active_playback_not_published"),
    *(
        "viewer_captions_only",
        "viewer_disconnected",
        "bad_broadcast",
        "bad_ingest_frame",
        "bad_control_frame",
        "stop_query_timed_out",
    ),
    *(
        "microphone_not_served",
        "playback_not_controlled",
        "voice_warm_failed",
        "llm_warm_failed",
        "espeak_restarted",
        "espeak_not_started",
    ),
}
"""Of a process, a connection, a list, a session or a microphone."""


@pytest.mark.parametrize(("fault", "ends"), [("absent", "done"), ("cutlate", "error")])
async def test_with_the_chain_too_every_line_of_a_turn_has_its_name_and_its_trace(
    with_fallback: Stack, fault: str, ends: str
) -> None:
    session = f"{fault}-{uuid.uuid4().hex[:8]}"
    async with watching(with_fallback.ws, session) as viewer:
        answer = await chat(
            with_fallback.url, session, headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        )
        assert answer.events[-1] == ends
        await viewer.until(lambda v: v.of("CONTROL", "END"))
    ours = set()
    for service in with_fallback.ports:
        for line in with_fallback.log_lines(service):
            # What asr hears is no turn yet.
            if line["event"] not in PROCESS_EVENTS and service != "asr":
                assert "correlationId" in line, (service, line)
            if str(line.get("correlationId", "")).startswith(session):
                ours.add(service)
                assert line["trace_id"] == TRACE, (service, line)
    chain = {"memory", "chat-ai", "tts"} if fault == "absent" else {"dialog-engine"}
    assert ours == {"input-handler", "output-handler", *chain}


async def test_what_was_said_is_in_no_log(fake_models: Stack) -> None:
    await chat(fake_models.url, "private", "my canary is called Zwiebelfisch")
    for service in fake_models.ports:
        assert "Zwiebelfisch" not in (fake_models.data / "logs" / f"{service}.log").read_text()


async def test_probes_and_metrics_answer_everywhere(fake_models: Stack) -> None:
    async with watching(fake_models.ws, "metrics") as viewer:
        await chat(fake_models.url, "metrics")
        # A turn is counted when it was heard.
        await viewer.until(lambda seen: "SPEAKING" in seen.phases() and seen.phases()[-1] == "IDLE")
    async with ClientSession() as http:
        for service in fake_models.ports:
            url = fake_models.service(service)
            async with (
                http.get(f"{url}/healthz") as healthz,
                http.get(f"{url}/readyz") as readyz,
                http.get(f"{url}/metrics") as metrics,
            ):
                assert (healthz.status, readyz.status, metrics.status) == (200, 200, 200)
                text = await metrics.text()
            assert "dialog_turns_total" in text
            if service == "dialog-engine":
                assert 'dialog_turns_total{outcome="completed",path="sync"}' in text
                assert "dialog_turn_first_audio_seconds_bucket" in text
