"""Entry point of `tts`: one process."""

from service_runtime.server import serve
from tts.app import build
from tts.settings import TtsSettings


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("tts", TtsSettings, build)


if __name__ == "__main__":
    main()
