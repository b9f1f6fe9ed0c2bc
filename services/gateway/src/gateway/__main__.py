"""`gateway`: runs one gateway process."""

from dialog_contracts import limits
from gateway.app import build
from gateway.settings import GatewaySettings
from gateway.websocket_tunnel import ClientProtocol
from service_runtime.server import serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve(
        "gateway",
        GatewaySettings,
        build,
        ws_max_bytes=limits.MAX_BINARY_FRAME_BYTES,
        ws=ClientProtocol,
        each_address=True,
    )


if __name__ == "__main__":
    main()
