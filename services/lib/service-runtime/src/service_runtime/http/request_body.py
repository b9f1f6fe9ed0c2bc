"""Reads a request's JSON body into a message."""

from typing import TypeVar

from pydantic import ValidationError
from starlette.requests import Request

from dialog_contracts.model import WireModel
from service_runtime.http.errors import field_error

M = TypeVar("M", bound=WireModel)


async def read_model(request: Request, model: type[M]) -> M:
    """Return the body as `model`; raises InvalidField (422), which names the field or limit."""
    try:
        return model.from_json(await request.body())
    except ValidationError as error:
        raise field_error(error) from error
