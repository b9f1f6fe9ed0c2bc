"""The speech models of `models.toml`, and the state of their files in a folder."""

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal

State = Literal["ready", "missing", "damaged"]
BLOCK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package that contains model files, pinned to a version and a SHA-256."""

    package: str
    version: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model. `members` are (package, path in its wheel), to be concatenated."""

    path: str
    bytes: int
    sha256: str
    members: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A model. `name` is its folder; `without` says what happens if it is missing."""

    name: str
    title: str
    does: str
    without: str
    licence: str
    files: tuple[ModelFile, ...]

    @property
    def bytes(self) -> int:
        """Total size of its files."""
        return sum(file.bytes for file in self.files)

    def state(self, models: Path, *, thorough: bool = True) -> State:
        """Return the state of its files in the folder `models`.

        Not `thorough`: only sizes are compared, which is fast.
        """
        found = [models / self.name / file.path for file in self.files]
        if not any(path.is_file() for path in found):
            return "missing"
        for path, file in zip(found, self.files, strict=True):
            if (
                not path.is_file()
                or path.stat().st_size != file.bytes
                or (thorough and sha256(path) != file.sha256)
            ):
                return "damaged"
        return "ready"


@dataclass(frozen=True, slots=True)
class ModelList:
    """All models and packages."""

    models: tuple[Model, ...]
    wheels: tuple[Wheel, ...]

    def wheels_of(self, models: list[Model]) -> list[Wheel]:
        """Return the packages that contain files of these models."""
        packages = {
            package for model in models for file in model.files for package, _ in file.members
        }
        return [wheel for wheel in self.wheels if wheel.package in packages]


def load() -> ModelList:
    """Read `models.toml`."""
    declared = tomllib.loads(
        (resources.files("vtuber_cli") / "models.toml").read_text(encoding="utf-8")
    )
    wheels = declared.pop("wheels")
    return ModelList(
        tuple(_model(name, table) for name, table in declared.items()),
        tuple(Wheel(package, **table) for package, table in wheels.items()),
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _model(name: str, table: dict[str, object]) -> Model:
    described = {key: str(table[key]) for key in ("title", "does", "without", "licence")}
    files = table["files"]
    assert isinstance(files, list)
    return Model(
        name,
        **described,
        files=tuple(
            ModelFile(
                file["path"],
                file["bytes"],
                file["sha256"],
                tuple((package, member) for package, member in file["members"]),
            )
            for file in files
        ),
    )
