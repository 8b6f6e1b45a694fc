"""How a job runs: in its workspace, with what caused it, in order; held, tried again, given up."""

import asyncio
import logging
import uuid
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from chat.jobs.titles import defer_title
from chat.models import Conversation, Message
from konstruct.tenancy import job_keeping, jobs, worker
from konstruct.tenancy.door import WorkspaceRef, in_shared, in_workspace
from konstruct.tenancy.jobs import JobError
from konstruct.tenancy.models import JobFailure, Workspace
from konstruct.tenancy.workspaces import create_workspace, delete_workspace, reference, set_suspended
from tests.jobs import kinds
from tests.jobs.conftest import Places, defer, idle, rows, until, working
from tests.jobs.kinds import done, failures, gates


async def begins(what: str) -> None:
    async def has_begun() -> bool:
        return (what, "begins") in done

    await until(has_begun)


def failure_of(*, job_id: int) -> JobFailure:
    return JobFailure.objects.get(job_id=job_id)


# --- in its workspace, with what caused it ---------------------------------------------------------


async def test_a_job_runs_in_its_own_workspace(places: Places) -> None:
    for workspace in places:
        await defer(workspace, kinds.note, what=workspace.slug)
    async with working():
        await idle()
    assert sorted(done) == sorted((place.slug, place.schema_name) for place in places)
    assert await rows() == []


async def test_arguments_arrive_as_they_were_given(places: Places) -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    await defer(places[0], kinds.typed, what="typed", id=one, count=3, many=[one, two])
    async with working():
        await idle()
    assert done == [("typed", (one, 3, [one, two]))]


def test_a_job_with_other_arguments_than_its_own_is_not_deferred(places: Places) -> None:
    with pytest.raises(TypeError, match="what"):
        kinds.note.defer(workspace_id=places[0].id, wat="?")


async def test_a_job_is_deferred_if_and_only_if_its_cause_commits(places: Places) -> None:
    def cause(*, what: str, commits: bool) -> None:
        with transaction.atomic():
            kinds.note.defer(workspace_id=places[0].id, what=what)
            if not commits:
                transaction.set_rollback(True)

    await in_workspace(places[0], cause, what="undone", commits=False)
    await in_workspace(places[0], cause, what="done", commits=True)
    async with working():
        await idle()
    assert [what for what, _ in done] == ["done"]


async def test_also_what_a_job_defers_is_part_of_its_own_transaction(places: Places) -> None:
    await defer(places[0], kinds.chain, what="chain")
    async with working():
        await idle()
    assert [what for what, _ in done] == ["chain: kept"]


async def test_a_foreign_workspaces_id_in_a_job_reaches_nothing(places: Places) -> None:
    acme, globex = places

    def converse() -> uuid.UUID:
        conversation = Conversation.objects.create(user_id=uuid.uuid4())
        Message.objects.create(conversation=conversation, role="user", text="Ours")
        return conversation.id

    theirs = await in_workspace(acme, converse)
    await in_workspace(globex, defer_title, workspace_id=globex.id, conversation_id=theirs)
    async with working():
        await idle()
    assert await rows() == []
    assert await in_workspace(acme, lambda: Conversation.objects.get(id=theirs).title) == ""


# --- suspended, deleted ----------------------------------------------------------------------------


async def test_a_suspended_workspaces_jobs_are_held_and_taken_up_again(places: Places) -> None:
    acme, globex = places
    await in_shared(set_suspended, slug=acme.slug, suspended=True)
    for workspace in places:
        await defer(workspace, kinds.once, what=workspace.slug)
    async with working():
        await idle()
        assert done == [(globex.slug, None)]
        (held,) = await rows()
        assert (held["status"], held["scheduled_at"], held["attempts"]) == ("todo", job_keeping.HELD, 0)

        await in_shared(set_suspended, slug=acme.slug, suspended=False)
        await idle()
    assert done == [(globex.slug, None), (acme.slug, None)]
    assert await rows() == []


async def test_a_job_put_back_while_its_workspace_was_taken_up_is_not_forgotten(places: Places) -> None:
    await defer(places[0], kinds.note, what="late")

    def put_back() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = %s", [job_keeping.HELD])

    await in_shared(put_back)
    assert await in_shared(job_keeping.release_forgotten) == 1
    async with working():
        await idle()
    assert [what for what, _ in done] == ["late"]


async def test_jobs_of_a_workspace_that_is_still_suspended_stay_held(places: Places) -> None:
    await in_shared(set_suspended, slug=places[0].slug, suspended=True)
    await defer(places[0], kinds.note, what="held")
    async with working():
        await idle()
    assert await in_shared(job_keeping.release_forgotten) == 0


@pytest.fixture
def doomed(places: Places) -> Iterator[WorkspaceRef]:
    slug = f"doomed-{uuid.uuid4().hex[:8]}"
    yield reference(create_workspace(name="Doomed", slug=slug))
    if Workspace.objects.filter(slug=slug).exists():
        delete_workspace(slug=slug)


async def test_a_deleted_workspaces_jobs_go_with_it(places: Places, doomed: WorkspaceRef) -> None:
    for what in ("one", "two"):
        await defer(doomed, kinds.note, what=what)
    await defer(places[0], kinds.note, what="other")

    def delete_and_regret() -> None:
        with transaction.atomic():
            delete_workspace(slug=doomed.slug)
            assert len(read_of(doomed)) == 0
            transaction.set_rollback(True)

    def read_of(workspace: WorkspaceRef) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM procrastinate_jobs WHERE args->>'workspace_id' = %s", [str(workspace.id)]
            )
            return [id for (id,) in cursor.fetchall()]

    await in_shared(delete_and_regret)
    assert len(await in_shared(read_of, workspace=doomed)) == 2
    await in_shared(delete_workspace, slug=doomed.slug)
    assert await in_shared(read_of, workspace=doomed) == []
    async with working():
        await idle()
    assert [what for what, _ in done] == ["other"]


async def test_a_job_whose_workspace_is_deleted_under_it_ends_quietly(
    places: Places, doomed: WorkspaceRef, caplog: pytest.LogCaptureFixture
) -> None:
    await defer(doomed, kinds.touch, what="touch")
    async with working():
        await begins("touch")
        await in_shared(delete_workspace, slug=doomed.slug)
        gates["touch"].set()
        await idle()
    assert await rows() == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_job_of_a_workspace_that_is_gone_does_nothing(places: Places) -> None:
    await in_shared(kinds.note.defer, workspace_id=uuid.uuid4(), what="nobody's")
    async with working():
        await idle()
    assert done == [] and await rows() == []


# --- tried again, given up -------------------------------------------------------------------------


async def test_what_fails_is_tried_again_and_its_failure_forgotten_once_it_succeeds(places: Places) -> None:
    failures["shaky"] = [ValueError("once"), JobError("Twice.")]
    await defer(places[0], kinds.fail, what="shaky")
    async with working():
        await idle()
    assert done == [("shaky", None)] * 3
    assert await rows() == []
    assert not await in_shared(JobFailure.objects.exists)


async def test_what_fails_each_time_is_given_up_and_says_why(
    places: Places, caplog: pytest.LogCaptureFixture
) -> None:
    failures["broken"] = [ValueError("Mrs Smith's diagnosis")] * 2 + [JobError("The model is away.")] * 9
    await defer(places[0], kinds.fail, what="broken")
    async with working():
        await idle()
    assert len(done) == 3
    (row,) = await rows()
    assert row["status"] == "failed"
    failure = await in_shared(failure_of, job_id=row["id"])
    assert (failure.error, failure.sentence, failure.failures, failure.gave_up) == (
        *("JobError", "The model is away.", 3),
        True,
    )
    assert "ValueError" in caplog.text and "Smith" not in caplog.text


async def test_an_error_of_no_class_of_ours_is_told_in_general_words(places: Places) -> None:
    failures["odd"] = [ValueError("Mrs Smith's diagnosis")] * 3
    await defer(places[0], kinds.fail, what="odd")
    async with working():
        await idle()
    (row,) = await rows()
    failure = await in_shared(failure_of, job_id=row["id"])
    assert failure.error == "ValueError" and "Smith" not in failure.sentence and failure.sentence


async def test_what_cannot_be_helped_by_trying_again_is_given_up_at_once(places: Places) -> None:
    failures["hopeless"] = [JobError("The key is wrong.", retryable=False)]
    await defer(places[0], kinds.fail, what="hopeless")
    async with working():
        await idle()
    assert done == [("hopeless", None)]
    assert [row["status"] for row in await rows()] == ["failed"]


async def test_an_operator_lets_a_failed_job_run_again_with_all_its_tries(places: Places) -> None:
    failures["mended"] = [JobError("Away.")] * 5
    await defer(places[0], kinds.fail, what="mended")
    async with working():
        await idle()
        (row,) = await rows("status = 'failed'")
        assert await in_shared(job_keeping.try_again, job_ids=[row["id"]]) == 1
        await idle()
    assert len(done) == 6 and await rows() == []


async def test_a_job_that_never_ends_is_ended(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_keeping, "LONGEST_RUN", 0.2)
    await defer(places[0], kinds.wait, what="endless")

    async def has_failed() -> bool:
        found = await rows()
        return bool(found and found[0]["attempts"] >= 1)

    async with working():
        await until(has_failed)
        failure = await in_shared(failure_of, job_id=(await rows())[0]["id"])
        assert failure.sentence == "It took too long."
        gates["endless"].set()
        await idle()


def test_waits_grow_three_times_each_with_some_chance_and_heed_what_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "FIRST_WAIT", 5.0)
    for failed, wait in [(1, 5), (2, 15), (3, 45), (7, 3600), (30, 3600)]:
        waits = {jobs._wait(ValueError(), failed) for _ in range(50)}
        assert all(wait * 0.8 <= each <= wait * 1.2 for each in waits) and len(waits) > 1
    assert jobs._wait(JobError("", retry_after=90), 1) == 90
    assert jobs._wait(JobError("", retry_after=10**9), 1) == 3600


async def test_jobs_of_a_worker_that_is_told_to_end_run_again(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("konstruct.tenancy.worker.LEAVE_WITHIN", 0.1)
    await defer(places[0], kinds.wait, what="cut", queueing_lock="cut")
    async with working():
        await begins("cut")
    assert [row["status"] for row in await rows()] == ["todo"]
    gates["cut"].set()
    async with working():
        await idle()
    assert done == [("cut", "begins"), ("cut", "begins"), ("cut", "ends")]


# --- in order, and not twice -----------------------------------------------------------------------


async def test_jobs_of_one_lock_run_one_at_a_time_in_their_order(places: Places) -> None:
    failures["a2"] = [JobError("Once.")]
    for number in range(1, 5):
        gates[f"a{number}"].set()
        await defer(places[0], kinds.wait, what=f"a{number}", lock="a")
    await defer(places[0], kinds.wait, what="b", lock="b")
    async with working():
        await begins("b")
        gates["b"].set()
        await idle()
    steps = [step for step in done if step[0] != "b"]
    order = ["a1", "a2", "a2", "a3", "a4"]
    assert steps == [(what, part) for what in order for part in ("begins", "ends")]


async def test_the_same_lock_in_two_workspaces_is_not_the_same(places: Places) -> None:
    for workspace in places:
        await defer(workspace, kinds.wait, what=workspace.slug, lock="same")
    async with working():
        for workspace in places:
            await begins(workspace.slug)
        for workspace in places:
            gates[workspace.slug].set()
        await idle()


async def test_one_waiting_job_of_a_queueing_lock_is_enough(places: Places) -> None:
    def both() -> tuple[bool, bool, bool]:
        with transaction.atomic():
            first = kinds.note.defer(workspace_id=places[0].id, queueing_lock="q", what="first")
            second = kinds.note.defer(workspace_id=places[0].id, queueing_lock="q", what="second")
            # The refusal has not spoiled the transaction.
            return first, second, kinds.note.defer(workspace_id=places[0].id, what="third")

    assert await in_workspace(places[0], both) == (True, False, True)
    async with working():
        await idle()
    assert sorted(what for what, _ in done) == ["first", "third"]


async def test_a_job_that_fails_while_its_like_waits_is_put_back_all_the_same(places: Places) -> None:
    failures["one"] = [JobError("Once.")]
    await defer(places[0], kinds.wait, what="one", queueing_lock="q")
    async with working(concurrency=1):
        await begins("one")
        assert await defer(places[0], kinds.wait, what="two", queueing_lock="q")
        for what in ("one", "two"):
            gates[what].set()
        await idle()
    assert [what for what, part in done if part == "ends"].count("one") == 2
    assert ("two", "ends") in done and await rows() == []


# --- the worker ------------------------------------------------------------------------------------


async def test_a_worker_outlives_the_loss_of_all_its_connections(places: Places) -> None:
    def cut() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = %s",
                [worker.APPLICATION],
            )

    async with working():
        for number in range(3):
            await in_shared(cut)
            await defer(places[0], kinds.note, what=str(number))

            async def is_done(number: int = number) -> bool:
                return any(what == str(number) for what, _ in done)

            await until(is_done)


async def test_a_worker_told_to_end_while_it_waits_for_its_database_ends(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = {"host": "/nowhere", "dbname": "none"}
    monkeypatch.setattr(worker, "connector_params", lambda: nowhere)
    stop, ready = asyncio.Event(), asyncio.Event()
    before = asyncio.all_tasks()
    work = asyncio.create_task(worker.work(concurrency=1, stop=stop, ready=ready.set))

    async def tries() -> bool:
        return len(asyncio.all_tasks() - before) > 3

    await until(tries)
    stop.set()
    await work
    assert not ready.is_set() and asyncio.all_tasks() == before
