import asyncio
from contextlib import suppress

import pytest

from dialog_telemetry import metrics
from service_runtime.aio.background_tasks import RECANCEL_INTERVAL_S, BackgroundTasks


def crashes(name: str) -> float:
    return float(metrics.TASK_CRASHES.labels(task=name)._value.get())


async def test_close_cancels_what_runs_and_waits_for_its_cleanup() -> None:
    owner, cleaned = BackgroundTasks(), []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    owner.start("work", work())
    await asyncio.sleep(0)
    await owner.close()
    assert cleaned == [True]
    assert len(owner) == 0
    with pytest.raises(RuntimeError, match="its owner is closed"):
        owner.start("late", work())


async def test_a_crash_is_counted_and_ends_only_its_task() -> None:
    owner, before = BackgroundTasks(), crashes("bad")

    async def bad() -> None:
        raise ValueError("broken")

    task = owner.start("bad", bad())
    with pytest.raises(ValueError, match="broken"):
        await task
    await asyncio.sleep(0)
    assert crashes("bad") == before + 1
    await owner.close()


@pytest.mark.looptime
async def test_kept_work_begins_anew_after_a_crash_with_growing_pauses() -> None:
    owner, starts = BackgroundTasks(), []

    async def flaky() -> None:
        starts.append(asyncio.get_running_loop().time())
        raise OSError("gone")

    owner.run_forever("flaky", flaky, pause_s=1, pause_max_s=4)
    await asyncio.sleep(12)
    await owner.close()
    assert [round(at) for at in starts] == [0, 1, 3, 7, 11]


@pytest.mark.looptime
async def test_a_task_that_loses_its_cancellation_is_ended_all_the_same() -> None:
    owner, lost = BackgroundTasks(), []

    async def swallows() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        lost.append(True)
        await asyncio.sleep(60)

    owner.start("work", swallows())
    await asyncio.sleep(0)
    await owner.close()
    assert lost == [True]
    assert asyncio.get_running_loop().time() <= RECANCEL_INTERVAL_S + 0.1
