"""What the parts of the service share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dock.aws.route53.plane import Plane
from dock.aws.route53.records import Records, Submitted, scope_of
from dock.aws.service import Call, Service
from dock.store import Scope

if TYPE_CHECKING:
    from dock.cloud import Cloud


class Part(Service):
    """A group of handlers: records and the DNS server are shared by all of them."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.records = Records(cloud.store)
        self.plane = Plane(cloud, self.records)

    def scope(self, call: Call) -> Scope:
        return scope_of(call.account)

    def change_info(self, submitted: Submitted, generation: int) -> dict[str, Any]:
        """`INSYNC` once the server serves it."""
        info = {
            "Id": f"/change/{submitted.identifier}",
            "Status": "INSYNC" if generation <= self.plane.served else "PENDING",
            "SubmittedAt": submitted.at,
        }
        return info if submitted.comment is None else {**info, "Comment": submitted.comment}
