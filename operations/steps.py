"""Carrying out steps: intent, observe, act, confirm, each step once, whatever dies in between.

The entry that says a step is about to act is durable before it acts, and written only while the lease is this run's.
So after a crash there is a journal that names the one step whose effect is unknown. It is observed before anything
else; where the observation can't tell, a person is asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from operations.deadline import Deadline
from operations.errors import OperationError, explain, may_have_acted, throttled
from operations.operation import Absent, Acted, Context, Observation, Result, Step, Unclear
from operations.redaction import redact
from operations.runs.journal import Entry, Journal, Kind, Overwritten
from operations.runs.lease import LeaseLost
from operations.runs.store import StoreAway

if TYPE_CHECKING:
    from operations.target import Target

# How often an act is repeated that was refused for now, or whose answer got lost and that had no effect.
TRIES = 5
_FIRST_PAUSE = 0.2

#: Answers of a person to an unclear step.
TOOK_EFFECT, HAD_NO_EFFECT = "it took effect", "it had no effect"


class Unanswered(OperationError):
    """Nobody but a person can tell whether a step took effect."""


class Stopped(OperationError):
    """The run was asked to stop, or its deadline passed, and it stopped in order: it can be resumed."""


class Executor:
    """Runs steps against a target, with a journal, whose `check` is called wherever it is safe to stop."""

    def __init__(self, target: Target, journal: Journal, deadline_seconds: float) -> None:
        self._target = target
        self._journal = journal
        self._progress = journal.progress
        self._deadline = Deadline(deadline_seconds, self._safe)
        self.results: dict[str, Result] = {}

    def run(self, steps: Iterable[Step]) -> dict[str, Result]:
        """Every step's result, by name. Raises OperationError: the first step that failed, Unanswered, Stopped."""
        todo = list(steps)
        for number, step in enumerate(todo, 1):
            done = self._journal.done(step.name)
            if done is not None:
                self._progress(f"[{number}/{len(todo)}] {step.intent}: done already at {done.at}")
                self.results[step.name] = done.content["result"]
                continue
            self._progress(f"[{number}/{len(todo)}] {step.intent}")
            self._safe()
            began = time.monotonic()
            try:
                self.results[step.name] = self._step(step)
            except (Unanswered, Stopped, StoreAway, LeaseLost, Overwritten):
                raise
            except Exception as error:
                problem = explain(f"can't {step.intent}", error)
                if problem is None:
                    raise
                self._journal.append(
                    Kind.FAILED,
                    step.name,
                    what=problem.what,
                    why=problem.why,
                    next=problem.next,
                    ended=problem.ended,
                    seconds=round(time.monotonic() - began, 3),
                )
                if problem is error:
                    raise
                raise problem from error
        self._journal.flush()
        return self.results

    def _step(self, step: Step) -> Result:
        began = time.monotonic()
        intent = _open_intent(self._journal, step.name)
        tries = sum(1 for entry in self._journal.of(Kind.FAILED, step.name) if entry.content["ended"])
        context = Context(
            target=self._target,
            results=self.results,
            key=step.key(self._journal.run, tries),
            deadline=self._deadline,
            progress=self._progress,
            begun=intent.at if intent is not None else None,
        )
        seen = self._observe(step, context, intent)
        found = isinstance(seen, Acted)
        acted = self._journal.last(Kind.ACTED, step.name)
        if isinstance(seen, Acted):
            if intent is not None:
                self._progress("  an earlier attempt had done it" if step.confirm is None else "  it is under way")
            # What the act itself told knows more than what can be seen of it.
            after_intent = intent is not None and acted is not None and acted.number > intent.number
            result = {**seen.result, **(acted.content["result"] if acted is not None and after_intent else {})}
        else:
            result = self._act(step, context)
        if step.confirm is not None:
            if not found:
                self._journal.note(Kind.ACTED, step.name, result=result)
            result = step.confirm(context, result)
        # Durable before the next step's intent; a run that dies before that finds the step done.
        self._journal.note(Kind.DONE, step.name, result=result, found=found, seconds=round(time.monotonic() - began, 3))
        return result

    def _observe(self, step: Step, context: Context, intent: Entry | None) -> Observation:
        seen = step.observe(context)
        if not isinstance(seen, Unclear):
            return seen
        answer = self._journal.last(Kind.ANSWERED, step.name)
        if answer is not None and (intent is None or answer.number > intent.number):
            return Acted() if answer.content["answer"] == TOOK_EFFECT else Absent()
        self._journal.append(Kind.ASKED, step.name, question=seen.question, look=seen.look)
        raise Unanswered(
            f"nobody can tell whether this took effect: {step.intent}",
            seen.question,
            f"{seen.look}; then: drydock resume {self._journal.run} --took-effect yes (or no)",
        )

    def _act(self, step: Step, context: Context) -> Result:
        pause = _FIRST_PAUSE
        for attempt in range(1, TRIES + 1):
            self._safe()
            self._journal.append(Kind.INTENT, step.name, fenced=True, intent=step.intent, key=context.key)
            try:
                return step.act(context)
            except Exception as error:
                lost = may_have_acted(error)
                if attempt == TRIES or not (lost or throttled(error)):
                    raise _refused(step, error, lost) from error
                said = redact(str(error))
                self._progress(f"  no answer: {said}; looking" if lost else f"  refused for now: {said}")
                self._deadline.pause(pause)
                pause *= 2
                if lost:
                    intent = _open_intent(self._journal, step.name)
                    begun = intent.at if intent is not None else None
                    seen = self._observe(step, _since(context, begun), intent)
                    if isinstance(seen, Acted):
                        self._progress("  it took effect, only the answer was lost")
                        return seen.result
        raise AssertionError("the loop returns or raises")

    def _safe(self) -> None:
        if self._journal.lease is not None:
            self._journal.lease.check()
        self._journal.check()


def _refused(step: Step, error: Exception, lost: bool) -> Exception:
    """An act that AWS refused has had no effect, so that trying again is a new act."""
    problem = explain(f"can't {step.intent}", error)
    if problem is None or isinstance(error, OperationError) or lost:
        return problem or error
    return OperationError(problem.what, problem.why, problem.next, ended=True)


def _open_intent(journal: Journal, step: str) -> Entry | None:
    """The intent after which nobody wrote how it ended: from then on, the step may have acted."""
    open_intent = None
    for entry in journal.entries:
        if entry.step != step:
            continue
        if entry.kind is Kind.INTENT and open_intent is None:
            open_intent = entry
        elif entry.kind is Kind.DONE or (entry.kind is Kind.FAILED and entry.content["ended"]):
            open_intent = None
    return open_intent


def _since(context: Context, begun: str | None) -> Context:
    return Context(context.target, context.results, context.key, context.deadline, context.progress, begun)
