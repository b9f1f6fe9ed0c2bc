"""`python -m vtuber_operator`: runs one operator process."""

import asyncio
import signal

from dialog_telemetry import log_config
from vtuber_operator.app import Operator
from vtuber_operator.settings import OperatorSettings


async def _serve(settings: OperatorSettings) -> None:
    operator = Operator(settings)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, operator.stop)
    await operator.run()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = OperatorSettings()
    log_config.configure("operator", settings.log_level)
    asyncio.run(_serve(settings))


if __name__ == "__main__":
    main()
