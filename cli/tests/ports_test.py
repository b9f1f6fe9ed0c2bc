import os
import socket

from vtuber_cli import ports


def test_a_port_is_busy_while_somebody_listens_and_free_after() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert ports.busy(port)
    assert not ports.busy(port)


def test_a_free_port_is_free() -> None:
    assert not ports.busy(ports.free())


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
