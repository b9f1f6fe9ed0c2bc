"""`asr`: one asr process."""

from asr.app import build
from asr.settings import AsrSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until told to end."""
    serve("asr", AsrSettings, build)


if __name__ == "__main__":
    main()
