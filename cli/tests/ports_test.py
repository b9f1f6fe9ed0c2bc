import os
import socket
import subprocess
import sys

import pytest

from vtuber_cli import ports


def test_a_port_is_busy_while_somebody_listens_and_free_after() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ports.busy(port)
    assert not ports.busy(port)


def test_a_free_port_is_free() -> None:
    assert not ports.busy(ports.free())


def test_a_free_port_is_held_until_its_server_listens() -> None:
    port = ports.free()
    if sys.platform == "linux":
        # Elsewhere a port cannot be held for somebody else.
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    server = "import asyncio,sys; asyncio.run(asyncio.start_server(print, '127.0.0.1', int(sys.argv[1])))"
    subprocess.run([sys.executable, "-c", server, str(port)], check=True, timeout=10)


def test_a_port_that_was_used_a_moment_ago_is_not_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()  # closed first by the server's side: its end waits in TIME_WAIT
            assert client.recv(1) == b""
    assert not ports.busy(port)


def test_the_holder_of_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert f"(process {os.getpid()}: " in ports.holder(listener.getsockname()[1])
    assert ports.holder(ports.free()) == ""


def test_an_address_that_is_not_this_machines_is_refused_with_those_that_are() -> None:
    said = ports.refusal(8000, "192.0.2.77")
    assert said is not None
    assert said.startswith("192.0.2.77 is not an address that this machine can listen on")
    assert (
        "Possible addresses: 127.0.0.1 or ::1 (only this machine), 0.0.0.0 (all of its addresses)"
        in said
    )
    named = ports.refusal(8000, "no-such-machine.invalid")
    assert named is not None
    assert named.startswith("no-such-machine.invalid is not an address")
    assert ports.refusal(ports.free("127.0.0.2"), "127.0.0.2") is None


def test_a_port_of_root_is_not_called_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ports, "_bound", lambda port, host: PermissionError(13, "Permission denied")
    )
    assert (
        ports.refusal(80, "127.0.0.1")
        == "port 80 needs root privileges. Choose a port above 1023: PORT=8080 make run"
    )


def test_two_runs_that_start_at_once_do_not_take_the_same_port() -> None:
    first, second = ports.Claims(), ports.Claims()
    port = ports.free()
    assert first.claim(port)
    assert second.claim(port) == (sys.platform != "linux")
    first.close()
    assert second.claim(port)
    second.close()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not first.claim(listener.getsockname()[1])
