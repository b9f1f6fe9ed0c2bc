"""Reads a request's JSON body into a message, or refuses it by field and limit."""

from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from dialog_contracts.model import WireModel
from service_runtime.http.errors import field_error

M = TypeVar("M", bound=WireModel)


async def read_model(request: Request, model: type[M]) -> M:
    """The body as `model`; raises InvalidField (422)."""
    try:
        return model.from_json(await request.body())
    except ValidationError as error:
        raise field_error(error) from error
