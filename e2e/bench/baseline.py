"""What the machine gives at best: the same number of processes and hops with bare asyncio, length-prefixed frames and no work at all.

`python -m e2e.bench.baseline relay NEXT_PORT` passes each frame on and back; `… echo` answers each frame with a chunk's worth of bytes.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = bytes(2_048)


async def _read(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


def _frame(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await _read(reader):
            writer.write(_frame(CHUNK))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve(next_port: int | None) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert next_port is not None
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", next_port)
        try:
            while True:
                behind_writer.write(_frame(await _read(reader)))
                writer.write(_frame(await _read(behind_reader)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            behind_writer.close()

    server = await asyncio.start_server(_echo if next_port is None else relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def chain(processes: int) -> Iterator[int]:
    """That many processes one behind the other; gives the first one's port."""
    started: list[subprocess.Popen[str]] = []
    try:
        port = ""
        for _ in range(processes):
            command = [
                sys.executable,
                "-m",
                "e2e.bench.baseline",
                *(["relay", port] if port else ["echo"]),
            ]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert started[-1].stdout is not None
            port = started[-1].stdout.readline().strip()
        yield int(port)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


async def measure(processes: int, runs: int) -> list[float]:
    """Round trips in ms through a chain."""
    times = []
    with chain(processes) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(runs + 20):
            began = time.perf_counter()
            writer.write(_frame(b'{"sessionId":"floor","content":"how are you today?"}'))
            await _read(reader)
            if number >= 20:
                times.append((time.perf_counter() - began) * 1000)
            await asyncio.sleep(0.01)
        writer.close()
    return times


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[2]) if sys.argv[1] == "relay" else None))
