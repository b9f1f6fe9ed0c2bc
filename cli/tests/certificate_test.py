import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vtuber_cli import addresses, certificate
from vtuber_cli.processes import RunError


def greeted(made: certificate.Certificate, name: str) -> bytes:
    """What a client hears that trusts this certificate alone, and calls the server by this name."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_side.load_cert_chain(made.certificate, made.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, server_side.wrap_socket(connection, server_side=True) as secured:
                secured.sendall(b"hello")

        serving = threading.Thread(target=serve)
        serving.start()
        client_side = ssl.create_default_context(cafile=str(made.certificate))
        with (
            socket.create_connection(listener.getsockname(), timeout=10) as connection,
            client_side.wrap_socket(connection, server_hostname=name) as secured,
        ):
            said = secured.recv(5)
        serving.join()
    return said


def test_who_trusts_it_reaches_this_machine_by_each_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "of_this_machine", lambda: "192.168.1.7")
    made = certificate.own(tmp_path / "tls", "127.0.0.2")
    for name in ("localhost", "127.0.0.1", "::1", "127.0.0.2", "192.168.1.7", socket.gethostname()):
        assert greeted(made, name) == b"hello"
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "tls", made.key)] == [0o700, 0o600]
    assert len(made.fingerprint.split(":")) == 32


def test_it_stays_the_same_until_it_ends_or_this_machine_has_another_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "of_this_machine", lambda: "192.168.1.7")
    first = certificate.own(tmp_path, "0.0.0.0")
    assert certificate.own(tmp_path, "0.0.0.0") == first
    late = datetime.now(UTC) + timedelta(days=certificate.VALID_DAYS - 10)
    second = certificate.own(tmp_path, "0.0.0.0", now=late)
    assert second.fingerprint != first.fingerprint
    monkeypatch.setattr(addresses, "of_this_machine", lambda: "192.168.1.8")
    assert certificate.own(tmp_path, "0.0.0.0").fingerprint != second.fingerprint


@pytest.mark.parametrize("damaged", ["cert.pem", "key.pem"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, damaged: str) -> None:
    certificate.own(tmp_path, "127.0.0.1")
    (tmp_path / damaged).write_text("garbage")
    assert greeted(certificate.own(tmp_path, "127.0.0.1"), "localhost") == b"hello"


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("")
    with pytest.raises(RunError, match="no certificate can be stored in"):
        certificate.own(tmp_path / "tls", "127.0.0.1")
