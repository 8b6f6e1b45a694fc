"""Jobs and forgetting at the same moment, on connections of their own: forgotten is forgotten.

Whatever order two transactions come in, at the end nothing is left of what was forgotten.
"""

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django_tenants.utils import tenant_context
from pytest_django.plugin import DjangoDbBlocker

from konstruct.tenancy.door import WorkspaceRef
from memory import remembering, store
from memory.models import Evidence, Forgotten, Memory, MemoryOff, MemoryPolicy, MemoryVector
from tests.memory.conftest import Person

PEANUTS = "The user is allergic to peanuts"
ROUNDS = 40

Together = Callable[..., None]


@pytest.fixture
def workspace(
    _workspaces: tuple[WorkspaceRef, WorkspaceRef], django_db_blocker: DjangoDbBlocker
) -> Iterator[WorkspaceRef]:
    """Acme, outside of a test transaction: the threads' connections see one another's commits."""
    with django_db_blocker.unblock():
        with tenant_context(_workspaces[0]):
            yield _workspaces[0]
            for model in (Evidence, MemoryVector, Memory, Forgotten, MemoryOff, MemoryPolicy):
                model.objects.all().delete()
        connection.close()


@pytest.fixture
def together(workspace: WorkspaceRef) -> Iterator[Together]:
    """`together(one, other)`: both begin at once, each in a thread with a connection of its own."""

    def close() -> None:
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        barrier = threading.Barrier(2)

        def run(function: Callable[[], object], delay: float) -> None:
            with tenant_context(workspace):
                barrier.wait(10)
                threading.Event().wait(delay)
                function()

        def both(one: Callable[[], object], other: Callable[[], object]) -> None:
            # Either one may be first; statements of both interleave.
            waits = [threads.submit(run, each, random.random() * 0.004) for each in (one, other)]
            for wait in waits:
                wait.result(30)

        yield both
        barrier = threading.Barrier(2)
        for wait in [threads.submit(lambda: (barrier.wait(10), close())) for _ in range(2)]:
            wait.result(30)


@pytest.mark.parametrize("first", ["job", "person"])
def test_one_after_the_other_nothing_is_left_either_way(ana: Person, first: str) -> None:
    if first == "person":
        store.forget_all(user_id=ana.user_id)
    ana.told(PEANUTS)
    if first == "job":
        store.forget_all(user_id=ana.user_id)
    assert not Memory.objects.exists()


@pytest.mark.parametrize("what", ["all", "employee", "conversation", "leaving", "off"])
def test_a_job_under_way_brings_nothing_back(together: Together, what: str) -> None:
    forget: dict[str, Callable[[Person], object]] = {
        "all": lambda p: store.forget_all(user_id=p.user_id),
        "employee": lambda p: store.forget_all(user_id=p.user_id, agent_id=p.agent_id),
        "conversation": lambda p: store.forget_conversation(
            user_id=p.user_id, conversation_id=p.conversation_id
        ),
        "leaving": lambda p: store.person_removed(user_id=p.user_id),
        "off": lambda p: (
            store.set_off(user_id=p.user_id, agent_id=p.agent_id, off=True),
            store.forget_all(user_id=p.user_id),
        ),
    }
    for _ in range(ROUNDS):
        person = Person()
        together(lambda p=person: p.told(PEANUTS), lambda p=person: forget[what](p))  # type: ignore[misc]
        assert not Memory.objects.filter(user_id=person.user_id).exists()


@pytest.mark.parametrize("kind", ["exchange", "fact"])
def test_a_forgotten_memory_is_not_written_again_by_a_newer_answer(together: Together, kind: str) -> None:
    for _ in range(ROUNDS):
        person, message_id = Person(), uuid.uuid4()
        person.told(PEANUTS, message_id=message_id)
        memory_id = Memory.objects.get(user_id=person.user_id, kind=kind).id

        def answer_anew(p: Person = person, m: uuid.UUID = message_id) -> None:
            p.said("I am allergic to peanuts. Understood, once more!", message_id=m)
            p.distil(m, PEANUTS)

        def forget(p: Person = person, m: uuid.UUID = memory_id) -> None:
            store.forget(user_id=p.user_id, memory_id=m)

        together(answer_anew, forget)
        assert not Memory.objects.filter(user_id=person.user_id).exists()


def test_forgetting_waits_for_a_job_that_has_looked_and_not_yet_written(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very gap: the job has found no tombstone, and forgetting begins before it writes."""
    person = Person()
    looked, forgot = threading.Event(), threading.Event()
    is_forgotten = remembering.is_forgotten

    def slow(**what: object) -> bool:
        forgotten = is_forgotten(**what)  # type: ignore[arg-type]
        looked.set()
        while not forgot.wait(0.005) and not somebody_waits():
            pass
        return forgotten

    monkeypatch.setattr(remembering, "is_forgotten", slow)

    def forget() -> None:
        assert looked.wait(10)
        store.forget_all(user_id=person.user_id)
        forgot.set()

    together(lambda: person.said("I am allergic to peanuts"), forget)
    assert not Memory.objects.filter(user_id=person.user_id).exists()


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


def test_two_workers_with_the_same_job_remember_once(together: Together) -> None:
    for _ in range(ROUNDS):
        person, message_id = Person(), uuid.uuid4()

        def job(p: Person = person, m: uuid.UUID = message_id) -> None:
            p.told(PEANUTS, message_id=m)

        together(job, job)
        kinds = Memory.objects.filter(user_id=person.user_id).values_list("kind", flat=True)
        assert sorted(kinds) == ["exchange", "fact"]
        assert Evidence.objects.filter(message_id=message_id).count() == 1
