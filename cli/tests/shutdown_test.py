import asyncio
import signal
import threading

from vtuber_cli.shutdown import Shutdown


async def test_what_hangs_is_over_in_time_also_where_the_loop_is_held() -> None:
    killed, left = threading.Event(), list[int]()
    with Shutdown(killed.set, sure_after_s=0.05, leave=left.append) as ending:
        signal.raise_signal(signal.SIGTERM)
        # The loop does not turn meanwhile.
        assert killed.wait(10)
        while not left:
            pass
        await asyncio.wait_for(ending.asked.wait(), 10)
    assert left == [1]


async def test_the_second_signal_kills_and_the_first_only_asks() -> None:
    kills = list[bool]()
    with Shutdown(lambda: kills.append(True)) as ending:
        signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(ending.asked.wait(), 10)
        assert kills == []
        signal.raise_signal(signal.SIGHUP)
        assert kills == [True]


async def test_afterwards_signals_do_what_they_did_before() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Shutdown(lambda: None):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ] == before


async def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Shutdown(lambda: None) as ending:
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)
            assert not ending.asked.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
