"""Session flags through OpenFeature's client, so that another provider can replace ours."""

from typing import Final

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.provider import FeatureProvider

from dialog_contracts.http import FlagSet
from dialog_flags.flags import Flag, IllegalFlags, drop_invalid, validate
from dialog_flags.openfeature_provider import DOCUMENT, GENERATION

DOMAIN: Final = "vtuber"


class SessionFlags:
    """A FlagSource over any OpenFeature provider.

    The environment's values apply where the provider has none. The constructor raises IllegalFlags
    when the environment's flags are invalid.
    """

    def __init__(self, provider: FeatureProvider, environment: FlagSet) -> None:
        found = validate(environment)
        if found:
            raise IllegalFlags("; ".join(found))
        self._environment = environment
        api.set_provider(provider, DOMAIN)
        self._client: OpenFeatureClient = api.get_client(DOMAIN)

    def resolve(self, session_id: str) -> FlagSet:
        """Return the flags of the session's next turn.

        A flag that the provider turns on without the flag it requires counts as off.
        """
        context = EvaluationContext(targeting_key=session_id)
        values: dict[str, bool] = {}
        generation: object = 0
        document: object = None
        for flag in Flag:
            details = self._client.get_boolean_details(
                flag, getattr(self._environment, flag), context
            )
            values[flag] = details.value
            generation = details.flag_metadata.get(GENERATION, generation)
            document = details.flag_metadata.get(DOCUMENT, document)
        return drop_invalid(
            FlagSet(
                **values,
                generation=generation if isinstance(generation, int) else 0,
                document=document if isinstance(document, str) else None,
            )
        )
