"""The public OpenAPI document: bodies that the gateway passes on unread are described all the same."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_TEMPLATE = "#/components/schemas/{model}"
INTERNAL = {"Meta": ("flags", "client", "knownTurn")}
"""Fields that only services set; the gateway's callers need not know them."""


def ref(model: str) -> dict[str, str]:
    """A reference to a body that `install` describes."""
    return {"$ref": _TEMPLATE.format(model=model)}


def install(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Add the bodies' schemas to the application's document, without what is internal."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        _, schemas = models_json_schema([(body, "validation") for body in bodies], by_alias=True, ref_template=_TEMPLATE)
        found = schemas["$defs"]
        for model, fields in INTERNAL.items():
            for field in fields:
                found[model]["properties"].pop(field, None)
        document.setdefault("components", {}).setdefault("schemas", {}).update(found)
        document["components"]["schemas"].pop("FlagSet", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
