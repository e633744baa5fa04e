"""What an operation is: facts in, a plan out, and the steps that carry the plan out.

An operation's module has `gather(target, request) → Facts`, `plan(facts, request) → Plan` (pure) and
`execute(plan, target, journal) → Outcome`, and declares them in one `Operation`. A plan is data: it is frozen as JSON
under its hash when it is shown, approved as that, and a run that died goes on with it. So its steps are made from the
plan alone (`steps(plan)`), in the same order and under the same names each time.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from operations.deadline import Deadline
from operations.manifest import Policy
from operations.parameters import Where

if TYPE_CHECKING:
    from operations.runs.journal import Journal
    from operations.target import Target

#: What an act tells of its effect, for later steps and for the journal: a JSON object without secrets.
Result = dict[str, Any]
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Acted:
    """The step has taken effect, or is under way: it is confirmed, not done again."""

    result: Result = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """The step has not taken effect."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """What can be seen does not tell; a person is asked `question`, with how to find out in `look`."""

    question: str
    look: str


Observation = Acted | Absent | Unclear


@dataclass(frozen=True)
class Context:
    """What a step has at hand. `results` are those of the steps before it, by name.

    `key` is this step's idempotency key, 32 hexadecimal digits: the same each time the step is gone on with, another
    when it is tried again after it failed. `begun` says since when (UTC, ISO 8601) an earlier attempt may have acted,
    None when none has.
    """

    target: Target
    results: dict[str, Result]
    key: str
    deadline: Deadline
    progress: Progress
    begun: str | None = None


@dataclass(frozen=True)
class Step:
    """One effect on the environment.

    `observe` looks whether it is there, `act` causes it, with one call where possible, and `confirm` waits until it
    holds and returns the final result (left out where the act's answer is the proof). All three raise OperationError,
    or what boto3 raises. `way_back` says how to undo it; after `point_of_no_return` that is no longer possible.
    """

    name: str
    intent: str
    observe: Callable[[Context], Observation]
    act: Callable[[Context], Result]
    confirm: Callable[[Context, Result], Result] | None = None
    way_back: str = ""
    point_of_no_return: bool = False

    def key(self, run: str, tries: int) -> str:
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{run}/{self.name}/{tries}").hex


class Plan(BaseModel):
    """What an operation would do. `refusals` are all the reasons not to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    refusals: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the work is already done."""
        raise NotImplementedError

    def document(self) -> dict[str, Any]:
        """The plan as JSON; `thaw` makes it again."""
        return self.model_dump(mode="json")

    @classmethod
    def thaw(cls, document: dict[str, Any]) -> Self:
        return cls.model_validate_json(json.dumps(document))

    @property
    def hash(self) -> str:
        """16 hexadecimal digits, which change when anything in the plan does."""
        canonical = json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ByHand:
    """A part of the procedure without Drydock: what it is for, the shell commands, and what to look at."""

    title: str
    commands: tuple[str, ...]
    note: str = ""


class Outcome(Protocol):
    """How an operation ended: what `Run.act` returns and the ledger keeps."""

    def summary_document(self) -> dict[str, Any]:
        """A JSON object for the journal and the ledger."""

    def figures(self) -> dict[str, float]:
        """Measurements by name, the unit in the name."""

    def require_passed(self) -> None:
        """Raise OperationError when this is an end, but not a good one."""


RequestT = TypeVar("RequestT", bound=Where)
FactsT = TypeVar("FactsT")
PlanT = TypeVar("PlanT", bound=Plan)
OutcomeT = TypeVar("OutcomeT", bound=Outcome)


@dataclass(frozen=True)
class Operation(Generic[RequestT, FactsT, PlanT, OutcomeT]):
    """An operation, as its module declares it.

    `changes`: it needs `--apply`, the environment's lease, and as many `approvals` as the policy says. One that does
    not change anything runs at once, also where there is no store of runs. `seconds(request)` is how long it may take
    as a whole. `by_hand(names)` is the same procedure with ordinary commands; `names` are shell variables.
    """

    name: str
    parameters: type[RequestT]
    plan_type: type[PlanT]
    gather: Callable[[Target, RequestT], FactsT]
    plan: Callable[[FactsT, RequestT], PlanT]
    execute: Callable[[PlanT, Target, Journal], OutcomeT]
    by_hand: Callable[[], tuple[ByHand, ...]]
    changes: bool = True
    steps: Callable[[PlanT], tuple[Step, ...]] = lambda _: ()
    preflight: Callable[[FactsT, RequestT], Any] | None = None
    approvals: Callable[[Policy], int] = lambda _: 0
    seconds: Callable[[RequestT], float] = lambda _: 900.0
