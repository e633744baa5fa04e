"""What becomes of a step, whatever happens to it: without a cloud, on a world of one dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from operations.errors import OperationError
from operations.operation import Absent, Acted, Context, Observation, Result, Step, Unclear
from operations.runs.journal import Journal, Kind
from operations.steps import HAD_NO_EFFECT, TOOK_EFFECT, Executor, Stopped, Unanswered


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Act"
    )


LOST = ReadTimeoutError(endpoint_url="http://127.0.0.1")


@dataclass
class World:
    """`effects` are what acts have caused; `answers` what the next acts raise, before (False) or after (True) the
    effect."""

    effects: list[str] = field(default_factory=list)
    answers: list[tuple[Exception, bool]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    begun: list[str | None] = field(default_factory=list)
    unclear: bool = False
    confirms: list[Exception] = field(default_factory=list)

    def step(self, name: str) -> Step:
        def observe(context: Context) -> Observation:
            self.begun.append(context.begun)
            if self.unclear and context.begun:
                return Unclear(f"is {name} there?", "look")
            return Acted({"name": name}) if name in self.effects else Absent()

        def act(context: Context) -> Result:
            self.keys.append(context.key)
            problem, effective = self.answers.pop(0) if self.answers else (None, True)
            if effective:
                self.effects.append(name)
            if problem is not None:
                raise problem
            return {"name": name}

        def confirm(context: Context, result: Result) -> Result:
            if self.confirms:
                raise self.confirms.pop(0)
            return {**result, "confirmed": True}

        return Step(name, f"make {name}", observe, act, confirm)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def journal() -> Journal:
    return Journal("run-1")


def run(world: World, journal: Journal, *names: str) -> dict[str, Result]:
    return Executor(None, journal, 30).run([world.step(name) for name in names])  # type: ignore[arg-type]


def kinds(journal: Journal) -> list[str]:
    return [f"{entry.kind.value} {entry.step}".strip() for entry in journal.entries]


def test_each_step_is_written_down_before_it_acts_and_after_it_is_confirmed(world: World, journal: Journal) -> None:
    assert run(world, journal, "a", "b")["b"] == {"name": "b", "confirmed": True}
    assert world.effects == ["a", "b"]
    assert kinds(journal) == ["intent a", "acted a", "done a", "intent b", "acted b", "done b"]


def test_a_step_that_is_done_shows_its_journaled_result_and_is_not_even_looked_at(
    world: World, journal: Journal
) -> None:
    run(world, journal, "a")
    world.begun.clear()
    assert run(world, journal, "a")["a"] == {"name": "a", "confirmed": True}
    assert world.begun == []
    assert world.effects == ["a"]


def test_what_is_there_already_is_confirmed_and_not_done_again(world: World, journal: Journal) -> None:
    world.effects.append("a")
    run(world, journal, "a")
    assert world.effects == ["a"]
    assert kinds(journal) == ["done a"]
    assert journal.entries[-1].content["found"] is True


@pytest.mark.parametrize("effective", [True, False], ids=["with its effect", "without effect"])
def test_after_a_lost_answer_it_is_looked_before_anything_is_repeated(
    world: World, journal: Journal, effective: bool
) -> None:
    world.answers.append((LOST, effective))
    run(world, journal, "a")
    assert world.effects == ["a"]
    assert len(world.keys) == (1 if effective else 2)
    assert len(set(world.keys)) == 1, "the same key for the same try"


@pytest.mark.parametrize("code", ["ThrottlingException", "RequestLimitExceeded"])
def test_a_throttled_act_is_repeated(world: World, journal: Journal, code: str) -> None:
    world.answers += [(refusal(code), False), (refusal(code), False)]
    run(world, journal, "a")
    assert world.effects == ["a"]


def test_an_act_that_aws_refuses_fails_at_once_and_a_resumed_run_tries_it_anew(world: World, journal: Journal) -> None:
    world.answers.append((refusal("AccessDeniedException"), False))
    with pytest.raises(OperationError, match="can't make a"):
        run(world, journal, "a", "b")
    assert kinds(journal) == ["intent a", "failed a"]
    run(world, journal, "a", "b")
    assert world.effects == ["a", "b"]
    assert len(set(world.keys)) == 3, "a new try has a new key"


def test_a_server_error_is_no_proof_that_nothing_happened(world: World, journal: Journal) -> None:
    world.answers.append((refusal("InternalError", 500), True))
    run(world, journal, "a")
    assert world.effects == ["a"]


@pytest.mark.parametrize("died_after", ["intent a", "acted a", "done a", "intent b", "acted b"])
@pytest.mark.parametrize("effective", [True, False])
def test_a_run_that_died_after_any_entry_ends_as_an_undisturbed_one(died_after: str, effective: bool) -> None:
    world, journal = World(), Journal("run-1")

    class Died(BaseException):
        pass

    def die(entry: Any) -> None:
        if f"{entry.kind.value} {entry.step}" == died_after:
            if entry.kind is Kind.INTENT and effective:
                world.effects.append(entry.step)
            raise Died

    journal.listen(die)
    with pytest.raises(Died):
        run(world, journal, "a", "b")
    resumed = Journal("run-1", list(journal.entries))
    results = run(world, resumed, "a", "b")
    assert world.effects == ["a", "b"]
    assert results == {name: {"name": name, "confirmed": True} for name in "ab"}
    first = [entry for entry in resumed.entries if entry.kind is Kind.DONE]
    assert [entry.step for entry in first] == ["a", "b"]


def test_where_nobody_can_tell_a_person_is_asked_and_the_answer_is_followed(world: World, journal: Journal) -> None:
    journal.append(Kind.INTENT, "a")
    world.unclear = True
    with pytest.raises(Unanswered, match="nobody can tell whether this took effect: make a") as asked:
        run(world, journal, "a")
    assert "drydock resume run-1 --took-effect" in asked.value.next
    assert journal.entries[-1].content["question"] == "is a there?"
    assert world.effects == []
    journal.append(Kind.ANSWERED, "a", answer=TOOK_EFFECT)
    run(world, journal, "a")
    assert world.effects == []


def test_the_answer_that_it_had_no_effect_has_it_done(world: World, journal: Journal) -> None:
    journal.append(Kind.INTENT, "a")
    world.unclear = True
    with pytest.raises(Unanswered):
        run(world, journal, "a")
    journal.append(Kind.ANSWERED, "a", answer=HAD_NO_EFFECT)
    run(world, journal, "a")
    assert world.effects == ["a"]


def test_an_old_answer_does_not_count_for_a_later_doubt(world: World, journal: Journal) -> None:
    journal.append(Kind.INTENT, "a")
    journal.append(Kind.ANSWERED, "a", answer=TOOK_EFFECT)
    journal.append(Kind.FAILED, "a", ended=True)
    journal.append(Kind.INTENT, "a")
    world.unclear = True
    with pytest.raises(Unanswered):
        run(world, journal, "a")


def test_a_failure_that_left_the_effect_open_is_looked_at_by_the_next_attempt(world: World, journal: Journal) -> None:
    world.confirms.append(OperationError("not done", "still running", "wait"))
    with pytest.raises(OperationError, match="not done"):
        run(world, journal, "a")
    run(world, journal, "a")
    assert world.effects == ["a"]
    assert world.begun[-1] is not None


def test_a_failure_that_ended_the_effect_is_a_new_act_for_the_next_attempt(world: World, journal: Journal) -> None:
    world.confirms.append(OperationError("exit code 1", "it failed", "mend it", ended=True))
    with pytest.raises(OperationError, match="exit code 1"):
        run(world, journal, "a")
    world.effects.clear()
    run(world, journal, "a")
    assert world.begun[-1] is None
    assert len(set(world.keys)) == 2


def test_a_stop_is_obeyed_between_steps_and_the_rest_is_for_the_next_attempt(world: World, journal: Journal) -> None:
    def stop() -> None:
        if journal.done("a"):
            raise Stopped("stopped", "it was asked to", "resume")

    journal.guard(stop, lambda _: None)
    with pytest.raises(Stopped):
        run(world, journal, "a", "b")
    assert world.effects == ["a"]
    assert journal.entries[-1].kind is Kind.DONE, "a stop is no failure of a step"
    run(world, Journal("run-1", journal.entries), "a", "b")
    assert world.effects == ["a", "b"]


def test_an_error_of_the_code_itself_is_not_made_a_failed_step(world: World, journal: Journal) -> None:
    world.answers.append((ZeroDivisionError("a bug"), False))
    with pytest.raises(ZeroDivisionError):
        run(world, journal, "a")
    assert kinds(journal) == ["intent a"]


def test_secrets_in_results_and_errors_stay_out_of_the_journal(world: World, journal: Journal) -> None:
    world.answers.append((refusal("AccessDenied; password=canary-secret"), False))
    with pytest.raises(OperationError):
        run(world, journal, "a")
    assert "canary-secret" not in str([entry.document() for entry in journal.entries])
