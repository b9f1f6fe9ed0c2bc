"""Audio and delivery of legacy responses, also while Redis is away."""

import pytest

from output_handler.legacy.response_source import DeliveryAck
from output_handler.testing.fake_legacy import FakeLegacyPipeline, response, wav


@pytest.fixture
async def pipeline() -> FakeLegacyPipeline:
    return FakeLegacyPipeline()


async def test_the_file_of_a_response_is_read(pipeline: FakeLegacyPipeline) -> None:
    file, problem = await pipeline.source.voice(response(1, blob=await pipeline.voice(200)))
    assert file is not None
    assert (file.duration_ms, problem) == (200, None)


async def test_a_response_without_a_file_says_by_its_code_whether_one_is_missing(
    pipeline: FakeLegacyPipeline,
) -> None:
    assert await pipeline.source.voice(response(1)) == (None, None)
    assert await pipeline.source.voice(response(1, code="tts_failed")) == (None, "tts_failed")


async def test_a_file_that_is_gone_bad_or_out_of_reach_is_a_problem_and_no_error(
    pipeline: FakeLegacyPipeline,
) -> None:
    assert await pipeline.source.voice(response(1, blob="0" * 32)) == (None, "the file is gone")
    bad, slow = "b" * 32, "c" * 32
    pipeline.blobs.files[bad] = b"no sound"
    for blob, down in ((bad, False), (bad, True)):
        pipeline.blobs.down = down
        file, problem = await pipeline.source.voice(response(1, blob=blob))
        assert file is None
        assert problem
    pipeline.blobs.down = False
    pipeline.blobs.files[slow] = wav(100, rate=8_000)
    file, problem = await pipeline.source.voice(response(1, blob=slow))
    assert file is None
    assert problem is not None
    assert "24000" in problem


async def test_a_response_is_marked_as_delivered_once(pipeline: FakeLegacyPipeline) -> None:
    delivered = DeliveryAck(pipeline.source, response(1))
    assert not delivered.sent
    delivered()
    delivered()
    await pipeline.tasks.wait_idle()
    assert delivered.sent
    assert pipeline.responses.delivered == ["live-001#1"]
    assert await pipeline.source.delivered_elsewhere("live-001") == {"live-001#1"}


async def test_while_redis_is_away_nothing_counts_as_delivered_and_nothing_fails(
    pipeline: FakeLegacyPipeline,
) -> None:
    pipeline.responses.delivered, pipeline.responses.down = ["live-001#1"], True
    assert await pipeline.source.delivered_elsewhere("live-001") == set()
    await pipeline.source.confirm_delivery(response(2))
