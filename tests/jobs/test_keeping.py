"""The table of jobs looked after: dead workers, deleted conversations, what ended long ago."""

import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

from django.db import connection
from django_tenants.utils import tenant_context

from chat.models import Conversation
from konstruct.tenancy import job_keeping
from konstruct.tenancy.door import WorkspaceRef, in_shared, in_workspace
from konstruct.tenancy.job_keeping import Recovered, recover
from konstruct.tenancy.models import JobFailure
from tests.jobs import kinds
from tests.jobs.conftest import Places, defer, idle, read_rows, until, working
from tests.jobs.kinds import done, gates


def execute(statement: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def job(workspace: WorkspaceRef, what: str, *, lock: str | None = None) -> int:
    kinds.note.defer(workspace_id=workspace.id, what=what, lock=lock, queueing_lock=what)
    return int(read_rows()[-1]["id"])


def taken(job_id: int, *, silent_for: float | None, started: float = 0.0) -> None:
    """As a worker leaves it that took the job and has not been heard of for so many seconds; None: gone."""
    with connection.cursor() as cursor:
        worker = None
        if silent_for is not None:
            cursor.execute(
                "INSERT INTO procrastinate_workers (last_heartbeat)"
                " VALUES (now() - make_interval(secs => %s)) RETURNING id",
                [silent_for],
            )
            (worker,) = cursor.fetchone()
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE id = %s", [worker, job_id]
        )
        cursor.execute(
            "UPDATE procrastinate_events SET at = at - make_interval(secs => %s) WHERE job_id = %s",
            [started, job_id],
        )


# --- dead workers ----------------------------------------------------------------------------------


def test_a_dead_workers_job_waits_again_and_a_living_ones_is_left_alone(places: Places) -> None:
    dead, gone, alive = (job(places[0], what) for what in ("dead", "gone", "alive"))
    taken(dead, silent_for=job_keeping.DEAD_AFTER + 1)
    taken(gone, silent_for=None)
    taken(alive, silent_for=job_keeping.DEAD_AFTER - 5)
    assert {each.id for each in recover()} == {dead, gone}
    assert [row["status"] for row in read_rows()] == ["todo", "todo", "doing"]


def test_a_job_whose_worker_lives_but_lost_its_end_waits_again(places: Places) -> None:
    lost, long = job(places[0], "lost"), job(places[0], "long")
    taken(lost, silent_for=0, started=2 * job_keeping.LONGEST_RUN + 1)
    taken(long, silent_for=0, started=job_keeping.LONGEST_RUN)
    assert [each.id for each in recover()] == [lost]


def test_however_many_look_for_them_each_job_of_a_dead_worker_is_taken_up_once(places: Places) -> None:
    for number in range(20):
        taken(job(places[0], f"dead {number}"), silent_for=60)
    barrier = threading.Barrier(6)

    def look() -> list[Recovered]:
        barrier.wait(10)
        try:
            return recover()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        found = [each.id for looked in [pool.submit(look) for _ in range(6)] for each in looked.result()]
    assert len(found) == len(set(found)) == 20
    assert {row["attempts"] for row in read_rows()} == {1}


async def test_a_dead_workers_lock_does_not_block_its_conversation(places: Places) -> None:
    def leave() -> None:
        taken(job(places[0], "first", lock="talk"), silent_for=60)
        job(places[0], "second", lock="talk")

    await in_shared(leave)
    async with working():
        await idle()
    assert [what for what, _ in done] == ["first", "second"]


def test_a_job_taken_up_again_does_not_collide_with_its_like_that_waits(places: Places) -> None:
    dead = job(places[0], "same")
    taken(dead, silent_for=60)
    job(places[0], "same")
    assert [each.id for each in recover()] == [dead]
    assert [row["status"] for row in read_rows()] == ["todo", "todo"]


def test_a_job_that_its_workers_die_of_is_given_up(places: Places) -> None:
    poison = job(places[0], "poison")
    for _ in range(job_keeping.DEATHS - 1):
        taken(poison, silent_for=60)
        assert recover() == [Recovered(poison, "tests.note", waits=True)]
    taken(poison, silent_for=60)
    assert recover() == [Recovered(poison, "tests.note", waits=False)]
    failure = JobFailure.objects.get(job_id=poison)
    assert (failure.error, failure.gave_up) == ("WorkerDied", True)


async def test_a_worker_that_only_seemed_dead_ends_its_job_without_harm(places: Places) -> None:
    await defer(places[0], kinds.wait, what="slow")

    async def begun() -> bool:
        return ("slow", "begins") in done

    async with working(concurrency=1):
        await until(begun)
        await in_shared(
            execute, statement="UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"
        )
        await until(lambda: in_shared(lambda: read_rows(where="status = 'todo'")))
        gates["slow"].set()
        await idle()
    assert await in_shared(read_rows) == []
    assert ("slow", "ends") in done


# --- conversations ---------------------------------------------------------------------------------


def waiting(places: Places) -> list[tuple[uuid.UUID, int]]:
    """A conversation with a waiting job in each workspace; the same id in both."""
    conversation = uuid.uuid4()
    for workspace in places:
        with tenant_context(workspace):
            Conversation.objects.create(id=conversation, user_id=uuid.uuid4())
            job_keeping.add(
                task="tests.note",
                lock=None,
                queueing_lock=None,
                args={"workspace_id": str(workspace.id), "conversation_id": str(conversation), "what": "x"},
            )
    return [(conversation, row["id"]) for row in read_rows()]


def test_a_deleted_conversations_jobs_go_with_it_and_no_others(places: Places) -> None:
    (conversation, _), (_, theirs) = waiting(places)
    other = job(places[0], "other")
    with tenant_context(places[0]):
        Conversation.objects.get(id=conversation).delete()
    assert [row["id"] for row in read_rows()] == [theirs, other]


def test_a_deletion_that_is_undone_leaves_the_jobs(places: Places) -> None:
    from django.db import transaction

    (conversation, _), _ = waiting(places)
    with tenant_context(places[0]), transaction.atomic():
        Conversation.objects.get(id=conversation).delete()
        transaction.set_rollback(True)
    assert len(read_rows()) == 2


def test_cancelling_takes_what_waits_and_what_failed_of_its_own_workspace(places: Places) -> None:
    ids = [job(workspace, str(number)) for workspace in places for number in range(3)]
    execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %s", ids[1])
    taken(ids[2], silent_for=0)
    one, two, three = (uuid.UUID(int=number) for number in range(3))
    execute("UPDATE procrastinate_jobs SET args = args || jsonb_build_object('message_id', %s::text)", one)
    assert job_keeping.cancel(workspace_id=places[0].id, argument="message_id", values=[two, three]) == 0
    assert job_keeping.cancel(workspace_id=places[0].id, argument="message_id", values=[one, two]) == 2
    assert [row["id"] for row in read_rows()] == ids[2:]


# --- what ended ------------------------------------------------------------------------------------


def test_what_ended_long_ago_is_deleted_with_the_note_of_its_failure(places: Places) -> None:
    recent, old, waits = (job(places[0], what) for what in ("recent", "old", "waits"))
    for each in (recent, old):
        taken(each, silent_for=0)
        execute("UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %s", each)
        job_keeping.note_failure(job_id=each, error="E", sentence="It failed.", limit=1)
    execute("UPDATE procrastinate_events SET at = at - interval '31 days' WHERE job_id <> %s", recent)
    assert job_keeping.clean() == 1
    assert [row["id"] for row in read_rows()] == [recent, waits]
    assert [failure.job_id for failure in JobFailure.objects.all()] == [recent]


async def test_jobs_that_become_due_by_hand_are_taken_without_waiting_for_a_poll(
    places: Places, monkeypatch: object
) -> None:
    from konstruct.tenancy import worker

    monkeypatch.setattr(worker, "POLL", 3600.0)  # type: ignore[attr-defined]
    failed = await in_workspace(places[0], job, workspace=places[0], what="late")
    await in_shared(execute, statement="UPDATE procrastinate_jobs SET status = 'failed'")
    async with working():
        await asyncio.sleep(0)
        assert await in_shared(job_keeping.try_again, job_ids=[failed]) == 1
        await idle()
    assert [what for what, _ in done] == ["late"]
