"""`input-handler`: one input-handler process."""

from dialog_contracts import limits
from input_handler.app import build
from input_handler.settings import InputSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until told to end."""
    serve("input-handler", InputSettings, build, ws_max_bytes=limits.MAX_BINARY_FRAME_BYTES)


if __name__ == "__main__":
    main()
