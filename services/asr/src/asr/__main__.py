"""`asr`: one asr process."""

from asr.app import build
from asr.microphone.incoming import FRAME_BYTES_MAX
from asr.settings import AsrSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until told to end."""
    serve("asr", AsrSettings, build, ws_max_bytes=FRAME_BYTES_MAX)


if __name__ == "__main__":
    main()
