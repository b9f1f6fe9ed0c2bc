import importlib
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

import dialog_contracts
from dialog_contracts.message_catalog import MESSAGES, PARTS, file_name
from dialog_contracts.model import SnakeModel, WireModel

ROOT = Path(__file__).resolve().parents[1]
by_name = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.__name__)


def text_of(folder: str, message: type[WireModel]) -> str:
    return (ROOT / folder / file_name(message)).read_text(encoding="utf-8")


def subclasses(model: type[WireModel]) -> Iterator[type[WireModel]]:
    for found in model.__subclasses__():
        if found.__module__.startswith("dialog_contracts."):
            yield found
            yield from subclasses(found)


def test_every_model_is_a_message_or_a_part_of_one() -> None:
    for module in pkgutil.iter_modules(dialog_contracts.__path__):
        importlib.import_module(f"dialog_contracts.{module.name}")
    assert set(subclasses(WireModel)) == {*MESSAGES, *PARTS}
    assert len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize(
    ("folder", "others"), [("examples", set()), ("schemas", {"asyncapi.json", "openapi.json"})]
)
def test_every_message_has_exactly_one_file_and_every_file_a_message(
    folder: str, others: set[str]
) -> None:
    names = [file_name(message) for message in MESSAGES]
    assert len(set(names)) == len(names)
    assert {path.name for path in (ROOT / folder).iterdir()} == {*names, *others}


@by_name
def test_an_example_is_read_and_written_again_as_it_was(message: type[WireModel]) -> None:
    text = text_of("examples", message)
    read = message.from_json(text)
    assert json.loads(read.to_json()) == json.loads(text)
    assert read.to_wire() == json.loads(text)


@by_name
def test_an_example_satisfies_the_schema_and_an_empty_list_does_not(
    message: type[WireModel],
) -> None:
    schema = json.loads(text_of("schemas", message))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(json.loads(text_of("examples", message)))
    assert not validator.is_valid([])


@by_name
def test_fields_of_a_newer_writer_are_tolerated_by_reader_and_schema(
    message: type[WireModel],
) -> None:
    wire = json.loads(text_of("examples", message))
    newer = {**wire, "fieldOfTheFuture": {"nested": [1, None]}}
    assert message.from_json(json.dumps(newer)).to_wire() == wire
    jsonschema.Draft202012Validator(json.loads(text_of("schemas", message))).validate(newer)


@by_name
def test_names_are_camel_case_on_the_wire_but_for_the_older_dialect(
    message: type[WireModel],
) -> None:
    named = [field.alias or name for name, field in message.model_fields.items()]
    assert set(json.loads(text_of("examples", message))) <= set(named)
    if not issubclass(message, SnakeModel):
        assert not [name for name in named if "_" in name]


@by_name
def test_a_message_cannot_be_changed_after_it_was_made(message: type[WireModel]) -> None:
    read = message.from_json(text_of("examples", message))
    field = next(iter(message.model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(read, field, getattr(read, field))
