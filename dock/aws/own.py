"""The services that the dock serves itself: from an identified request to the answer."""

from __future__ import annotations

import logging
import sqlite3
import uuid

from dock.access.principals import Authorized
from dock.aws import answers, errors, wire
from dock.aws.models import service_model
from dock.aws.request import Identified
from dock.aws.service import AwsError, Call, Operation, Service
from dock.http import Answer

log = logging.getLogger(__name__)


class OwnServices:
    """Calls the handler of a request, and writes what it returns or raises in the service's own protocol."""

    def __init__(self, services: dict[str, Service]) -> None:
        self._services = services
        self._signing_names = frozenset(service_model(name).signing_name for name in services)
        self._operations = {name: service.operations() for name, service in services.items()}

    def serves(self, identified: Identified) -> bool:
        """Whether a request is for one of them."""
        return identified.service in self._services or identified.signing_name in self._signing_names

    async def answer(self, identified: Identified, authorized: Authorized) -> Answer:
        """What the service answers to a caller, in an account."""
        request_id = str(uuid.uuid4())
        try:
            operation, parameters = wire.parse(identified)
            declared = self._declared(identified.service, operation.name, parameters)
            place = authorized.account, identified.region
            call = Call(*place, identified.service, operation.name, request_id, authorized.principal)
            response = await declared.handler(self._services[identified.service], call, parameters)
            return Answer(*answers.render(identified, operation, response, request_id), request_id)
        except AwsError as error:
            failure = error
        except sqlite3.OperationalError as error:
            failure = AwsError("InternalFailure", f"the dock could not store its record: {error}", 500)
            log.error("%s:%s could not be stored: %s", identified.service, identified.asked, error)
        except Exception:
            log.exception("%s:%s failed", identified.service, identified.asked)
            failure = AwsError("InternalFailure", f"the dock failed; its log has request {request_id}", 500)
        return Answer(*errors.render(identified, failure, request_id), request_id, failure.code)

    def _declared(self, service: str, name: str, parameters: dict[str, object]) -> Operation:
        declared = self._operations.get(service, {}).get(name)
        if declared is None:
            raise AwsError(
                "UnsupportedOperation", f"the dock does not do {service}:{name}; see docs/differences-from-aws.md"
            )
        beyond = sorted(set(parameters) - declared.acts - declared.records)
        if beyond:
            raise AwsError(
                "UnsupportedOperation",
                f"the dock does not act on {', '.join(beyond)} of {service}:{name}; see docs/differences-from-aws.md",
            )
        return declared
