"""Command line of `vtuber`.

At the top it imports only the standard library and modules that do the same, because `vtuber
models` also runs in image builds, where no package is installed.
"""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from vtuber_cli import settings
from vtuber_cli.settings import GATEWAY_PORT

READER_LEFT: Final = 141
"""Exit status that shells use for a closed pipe: 128 and SIGPIPE."""


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="vtuber", description="A real-time AI VTuber, on this machine."
    )
    parser.add_argument("--version", action="store_true", help="say which version this is, and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="start everything; Ctrl-C ends it")
    run.add_argument("--port", type=_port, help="of the page (default 8000, or PORT)")
    run.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of the page (default 127.0.0.1); 0.0.0.0 lets your phone in",
    )
    run.add_argument(
        "--https",
        action="store_true",
        help="with a certificate of this machine's own, so that phones give the microphone",
    )
    run.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="folder for conversations and logs (default .data)",
    )
    run.add_argument(
        "--ephemeral", action="store_true", help="free ports for everything but --port, for tests"
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SERVICE.NAME=VALUE",
        help="one variable of one service, e.g. input-handler.DIALOG_ENGINE_URL=http://127.0.0.1:9000; wins over everything",
    )
    run.add_argument(
        "--scale",
        action="append",
        default=[],
        metavar="SERVICE=N",
        help="several processes of a service: dialog-engine=2, output-handler=2",
    )
    run.add_argument(
        "--state", type=Path, help="write ports and process ids here, as JSON, when all is ready"
    )

    say = commands.add_parser(
        "say", help="one turn: the text streams here, the voice is played or saved"
    )
    say.add_argument("text")
    say.add_argument("--session", default="live-001", help="session to speak in (default live-001)")
    say.add_argument("--wav", type=Path, help="save the voice here instead of playing it")
    say.add_argument("--lang", help="language of the text, e.g. zh or en (default: by its script)")
    say.add_argument(
        "--url",
        help=f"address of the gateway (default http://127.0.0.1:{GATEWAY_PORT}, or VTUBER_URL)",
    )

    talk = commands.add_parser("talk", help="speak, and hear her answer; Ctrl-C ends it")
    talk.add_argument(
        "--session", default="live-001", help="session to speak in (default live-001)"
    )
    talk.add_argument("--lang", choices=("zh", "en"), help="what is spoken (default: found out)")
    talk.add_argument("--wav", type=Path, help="speak this WAV file instead of the microphone")
    talk.add_argument("--out", type=Path, help="save her voice here instead of playing it")
    talk.add_argument(
        "--headphones",
        action="store_true",
        help="the microphone does not hear her: cut in whenever you like",
    )
    talk.add_argument(
        "--url",
        help=f"address of the gateway (default http://127.0.0.1:{GATEWAY_PORT}, or VTUBER_URL)",
    )

    models = commands.add_parser("models", help="fetch what hears speech; `run` finds it by itself")
    models.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="they go to `models` in this folder (default .data)",
    )
    models.add_argument(
        "--check",
        action="store_true",
        help="only say what is there, what is not, and what works without it",
    )
    models.add_argument(
        "--weights-only", action="store_true", help="fetch the models and not what runs them"
    )
    models.add_argument(
        "--try",
        action="store_true",
        dest="attempt",
        help="say a few sentences and hear them, with times",
    )

    doctor = commands.add_parser(
        "doctor", help="what is configured, what answers, what is slow and what is missing"
    )
    doctor.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="folder for conversations and logs (default .data)",
    )
    doctor.add_argument(
        "--providers",
        action="store_true",
        help="let each configured model and voice say one sentence, with times",
    )
    doctor.add_argument("--json", action="store_true", help="for programs")

    _flags_parser(commands)
    return parser


def main() -> None:
    """Parse the command line and execute the command."""
    parser = command_line()
    asked = parser.parse_args()
    if asked.version:
        print(f"vtuber {version('vtuber-cli')}")
        return
    if asked.command is None:
        parser.print_help()
        return
    if asked.command == "run":
        sys.exit(_run(asked))
    if asked.command in (screens := {"models": _models, "doctor": _doctor, "flags": _flags}):
        sys.exit(_printed(screens[asked.command], asked))
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", asked.session) is None:
        parser.error("--session: 1 to 64 of A-Z a-z 0-9 _ -")
    from vtuber_cli import gateway

    try:
        asked.url = gateway.address(asked.url or settings.gateway_url())
    except ValueError as error:
        parser.error(f"{'--url' if asked.url else 'VTUBER_URL'}: {error}")
    if asked.command == "talk":
        sys.exit(_talk(asked))
    from vtuber_cli import say as saying

    sys.exit(saying.main(asked.url, asked.session, asked.text, lang=asked.lang, wav_path=asked.wav))


def _printed(command: Callable[[argparse.Namespace], int], asked: argparse.Namespace) -> int:
    """Execute a command that only prints.

    A reader that leaves early (`vtuber doctor | head`) is not an error to report.
    """
    try:
        return command(asked)
    except BrokenPipeError:
        # The interpreter flushes stdout at its end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _port(text: str) -> int:
    try:
        return settings.port_number(text, "PORT")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None


def _flags_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    flags = commands.add_parser(
        "flags", help="a session's flags on a cluster: on, off, with all that belongs to it"
    )
    verbs = flags.add_subparsers(dest="verb", required=True)
    for verb, what in (
        ("off", "turn a flag off, and all that need it"),
        ("on", "turn a flag on, and all that it needs"),
        ("show", "which flags are on"),
    ):
        one = verbs.add_parser(verb, help=what)
        one.add_argument("name", help="of the VtuberSession")
        if verb != "show":
            one.add_argument("flag", help="ENABLE_SYNC_CORE, for one")
            one.add_argument(
                "--dry-run", action="store_true", help="only print the command that would be run"
            )
        one.add_argument("-n", "--namespace", help="of the VtuberSession (default: kubectl's)")
        one.add_argument("--context", help="of the cluster (default: kubectl's)")


def _flags(asked: argparse.Namespace) -> int:
    from dialog_flags.flags import Flag
    from vtuber_cli import flags
    from vtuber_cli.console import Console

    place = flags.KubeTarget(asked.namespace, asked.context)
    if asked.verb == "show":
        return flags.show(asked.name, place=place, console=Console())
    if asked.flag not in list(Flag):
        print(
            f"vtuber flags: there is no flag {asked.flag}; there are {', '.join(Flag)}",
            file=sys.stderr,
        )
        return 2
    on = asked.verb == "on"
    return flags.flip(
        asked.name, Flag(asked.flag), on=on, place=place, dry=asked.dry_run, console=Console()
    )


def _talk(asked: argparse.Namespace) -> int:
    from vtuber_cli import talk

    return talk.main(
        asked.url,
        asked.session,
        lang=asked.lang,
        wav_path=asked.wav,
        out_path=asked.out,
        headphones=asked.headphones,
    )


def _doctor(asked: argparse.Namespace) -> int:
    from vtuber_cli import doctor
    from vtuber_cli.console import Console

    try:
        return doctor.main(
            asked.data, attempt=asked.providers, as_json=asked.json, console=Console()
        )
    except ValueError as error:
        print(f"Cannot look: {error}", file=sys.stderr)
        return 2


def _models(asked: argparse.Namespace) -> int:
    from vtuber_cli import models
    from vtuber_cli.console import Console

    folder = models.folder(asked.data)
    if asked.check or asked.attempt:
        status = models.check(folder, Console())
    else:
        status = models.install(folder, Console(), weights_only=asked.weights_only)
    return models.attempt(folder) if asked.attempt else status


def _run(asked: argparse.Namespace) -> int:
    from dialog_telemetry.nonblocking_output import non_blocking
    from vtuber_cli.console import Console
    from vtuber_cli.run import Runner, RunOptions

    options = RunOptions(
        data=asked.data,
        port=asked.port,
        host=asked.host,
        ephemeral=asked.ephemeral,
        state=asked.state,
        https=asked.https,
    )
    try:
        loaded = settings.load(asked.set, asked.scale)
    except ValueError as error:
        print(f"Cannot run: {error}", file=sys.stderr)
        return 2

    async def work() -> int:
        return await Runner(loaded, options, Console(non_blocking(sys.stdout, _lost))).run()

    return asyncio.run(work())


def _lost(lines: int) -> str:
    return f"({lines} lines could not be written here)"


if __name__ == "__main__":
    main()
