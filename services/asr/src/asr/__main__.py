"""`asr`: runs one asr process."""

from asr.app import build
from asr.settings import AsrSettings
from asr.streaming.frame_decoder import MAX_FRAME_BYTES
from service_runtime.server import serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("asr", AsrSettings, build, ws_max_bytes=MAX_FRAME_BYTES)


if __name__ == "__main__":
    main()
