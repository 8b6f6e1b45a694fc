"""A workspace moves from one embedder to another while it is in use."""

import io
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_tenants.utils import tenant_context
from pytest_django.plugin import DjangoDbBlocker

from agents.errors import Client, Transient
from chat import embedding
from chat.management.commands import reembed
from konstruct.tenancy.door import WorkspaceRef
from memory import moving, remembering, store
from memory.embedder import LOCAL, embed_local
from memory.errors import EmbedderChanged
from memory.models import Evidence, Forgotten, Memory, MemoryPolicy, MemoryVector
from tests.memory.conftest import Person, message_of, vector

OTHER = "openai/other"

Move = Callable[..., str]


def point(text: str, embedder: str) -> list[float]:
    """The text in the space of either: OTHER's is the embedded embedder's turned about, so that points are
    alike among themselves and unlike the originals."""
    (local,) = embed_local([text])
    return local[1:] + local[:1] if embedder == OTHER else local


class Provider:
    """In place of `chat.embedding.embed`: another space, its calls counted, its failures as told."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []
        self.before_call: Callable[[int], object] = lambda number: None

    async def embed(self, texts: Sequence[str], *, name: str, timeout: float) -> list[list[float]]:
        self.calls.append(texts)
        self.before_call(len(self.calls))
        return [point(text, name) for text in texts]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    made = Provider()
    monkeypatch.setattr(embedding, "embed", made.embed)
    monkeypatch.setattr(reembed.time, "sleep", lambda seconds: None)
    return made


@pytest.fixture
def move(provider: Provider) -> Move:
    """`move("acme", to=OTHER, ...)` runs the command; what it wrote."""

    def run(*slugs: str, to: str = OTHER, **options: Any) -> str:
        out = io.StringIO()
        call_command("reembed", *slugs, to=to, stdout=out, **options)
        return out.getvalue()

    return run


def embedders() -> list[str]:
    return list(MemoryVector.objects.order_by("embedder").values_list("embedder", flat=True))


def test_all_vectors_are_made_anew_and_searched_from_then_on(ana: Person, move: Move) -> None:
    texts = ["allergic to peanuts", "allergic to walnuts", "parks in garage B"]
    for text in texts:
        ana.said(text)
    written = move("acme", batch=2)
    assert "acme: 3 of 3" in written
    assert written.endswith("acme: all is embedded with openai/other.\n")
    assert embedders() == [OTHER] * 3
    assert store.policy().embedder == OTHER
    found = ana.recalled_texts("", embedder=OTHER, query_vector=point("nut allergy", OTHER))
    assert sorted(found) == texts[:2]
    with pytest.raises(EmbedderChanged):
        ana.recalls("nut allergy")


def test_history_needs_no_vector(ana: Person, move: Move) -> None:
    before = uuid.uuid4()
    ana.said("first version", message_id=before)
    ana.said("second version", replaces=[before])
    move("acme")
    assert embedders() == [OTHER]


def test_several_workspaces_or_all(acme: WorkspaceRef, globex: WorkspaceRef, move: Move) -> None:
    for workspace in (acme, globex):
        with tenant_context(workspace):
            Person().said("hello")
    move("globex")
    with tenant_context(acme):
        assert embedders() == [LOCAL]
    move(everywhere=True)
    for workspace in (acme, globex):
        with tenant_context(workspace):
            assert embedders() == [OTHER]


def test_broken_off_it_goes_on_where_it_was_and_the_old_vectors_serve_meanwhile(
    ana: Person, move: Move, provider: Provider
) -> None:
    for number in range(6):
        ana.said(f"allergic to peanuts, said {number}")

    def fail_at_the_third(number: int) -> None:
        if number == 3:
            raise Client("budget_exhausted")

    provider.before_call = fail_at_the_third
    with pytest.raises(CommandError, match="Run this again to go on"):
        move("acme", batch=2)
    assert store.policy().embedder == LOCAL
    assert len(ana.recalls("peanuts")) > 0
    assert embedders().count(OTHER) == 2

    provider.calls.clear()
    provider.before_call = lambda number: None
    move("acme", batch=2)
    # The trial, and the four that were missing.
    assert [len(texts) for texts in provider.calls] == [1, 2, 2]
    assert embedders() == [OTHER] * 6


def test_broken_off_after_the_change_only_the_old_ones_are_left_to_delete(
    ana: Person, move: Move, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana.said("hello")
    drop_others = moving.drop_others

    def interrupted(**_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(moving, "drop_others", interrupted)
    with pytest.raises(KeyboardInterrupt):
        move("acme")
    assert store.policy().embedder == OTHER
    monkeypatch.setattr(moving, "drop_others", drop_others)
    provider.calls.clear()
    move("acme")
    assert len(provider.calls) == 1
    assert embedders() == [OTHER]


def test_a_move_can_be_taken_back(ana: Person, move: Move, provider: Provider) -> None:
    ana.said("hello")

    moving.add(embedder=OTHER, memories=moving.missing(embedder=OTHER, limit=9), vectors=[vector("hello")])
    move("acme", to=LOCAL)
    assert store.policy().embedder == LOCAL
    assert embedders() == [LOCAL]


def test_what_may_succeed_soon_is_tried_again(ana: Person, move: Move, provider: Provider) -> None:
    ana.said("hello")

    def fail_twice(number: int) -> None:
        if number in (2, 3):
            raise Transient("model_rate_limited", retry_after=7)

    provider.before_call = fail_twice
    move("acme")
    assert embedders() == [OTHER]


def test_a_text_that_no_vector_can_be_made_of_is_left_out_and_said(ana: Person, move: Move) -> None:
    ana.said("hello")
    memory_id = ana.said("something")
    Memory.objects.filter(id=memory_id).update(text="")
    assert "1 have no text that could be." in move("acme")
    assert embedders() == [OTHER]


def test_what_is_edited_or_forgotten_meanwhile_gets_no_vector_of_the_old_text(ana: Person) -> None:
    edited, forgotten, same = (ana.said(text) for text in ("one text", "another text", "a third text"))
    assert edited and forgotten
    found = moving.missing(embedder=OTHER, limit=10)
    text = "in my own words"
    store.edit(user_id=ana.user_id, memory_id=edited, text=text, embedder=LOCAL, vector=vector(text))
    store.forget(user_id=ana.user_id, memory_id=forgotten)
    assert moving.add(embedder=OTHER, memories=found, vectors=[vector("x")] * 3) == 1
    assert MemoryVector.objects.get(embedder=OTHER).memory_id == same
    assert [memory.text for memory in moving.missing(embedder=OTHER, limit=10)] == [text]


def test_it_does_not_change_while_too_many_are_missing(ana: Person) -> None:
    for number in range(3):
        ana.said(f"number {number}")
    embed = embed_local
    assert not moving.change(embedder=OTHER, embed=embed, most=2)
    assert store.policy().embedder == LOCAL
    assert moving.change(embedder=OTHER, embed=embed, most=3)
    assert store.policy().embedder == OTHER
    assert embedders().count(OTHER) == 3


def test_the_vectors_in_use_are_not_deleted(ana: Person) -> None:
    ana.said("hello")
    with pytest.raises(ValueError, match="not the workspace's embedder"):
        moving.drop_others(embedder=OTHER, batch=10)
    assert embedders() == [LOCAL]


def test_a_model_without_use_changes_nothing(ana: Person, move: Move, provider: Provider) -> None:
    ana.said("hello")

    def fail(number: int) -> None:
        raise Client("model_unavailable")

    provider.before_call = fail
    with pytest.raises(CommandError, match="openai/other"):
        move("acme")
    assert embedders() == [LOCAL]


@pytest.mark.parametrize(
    ("slugs", "options", "sentence"),
    [
        ([], {}, "Name the workspaces"),
        (["acme"], {"everywhere": True}, "Name the workspaces"),
        (["nowhere"], {}, "no workspace 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(
    acme: WorkspaceRef, move: Move, slugs: list[str], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CommandError, match=sentence):
        move(*slugs, **options)


# --- In use, on connections of their own ----------------------------------------------------------


@pytest.fixture
def workspace(
    _workspaces: tuple[WorkspaceRef, WorkspaceRef], django_db_blocker: DjangoDbBlocker
) -> Iterator[WorkspaceRef]:
    """Acme, outside of a test transaction."""
    with django_db_blocker.unblock():
        with tenant_context(_workspaces[0]):
            yield _workspaces[0]
            for model in (Evidence, MemoryVector, Memory, Forgotten, MemoryPolicy):
                model.objects.all().delete()
        connection.close()


def elsewhere(workspace: WorkspaceRef, function: Callable[[], object]) -> None:
    """Run it in a thread with a connection of its own, and wait."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with tenant_context(workspace):
                function()
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


def test_what_is_remembered_meanwhile_is_caught_up_with(
    workspace: WorkspaceRef, move: Move, provider: Provider
) -> None:
    ana = Person()
    for number in range(4):
        ana.said(f"number {number}")

    def remember_more(number: int) -> None:
        if number in (2, 3):
            elsewhere(workspace, lambda: ana.said(f"meanwhile {number}"))

    provider.before_call = remember_more
    move("acme", batch=2)
    assert embedders() == [OTHER] * 6


def test_two_do_not_move_one_workspace(workspace: WorkspaceRef, move: Move, provider: Provider) -> None:
    Person().said("hello")

    def second(number: int) -> None:
        if number == 2:
            with pytest.raises(moving.AlreadyMoving):
                elsewhere(workspace, lambda: moving.alone().__enter__())

    provider.before_call = second
    move("acme")
    assert len(provider.calls) == 2


def wait_for(finished: threading.Event) -> None:
    """Until the other side has finished, or waits for a lock that this one holds."""
    while not finished.wait(0.005):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return


def test_the_change_waits_for_a_job_that_has_made_sure_of_the_embedder_and_not_yet_written(
    workspace: WorkspaceRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very gap: what the job then writes has a vector of the old embedder only."""
    ana, sure, changed = Person(), threading.Event(), threading.Event()
    store.policy()
    is_forgotten = remembering.is_forgotten

    def slow(**what: Any) -> bool:
        sure.set()
        wait_for(changed)
        return is_forgotten(**what)

    monkeypatch.setattr(remembering, "is_forgotten", slow)

    def change() -> None:
        assert sure.wait(10)
        assert moving.change(embedder=OTHER, embed=embed_local, most=10)
        changed.set()

    mover = threading.Thread(target=lambda: elsewhere(workspace, change))
    mover.start()
    ana.said("hello")
    mover.join(30)
    assert set(embedders()) == {LOCAL, OTHER}


@pytest.mark.parametrize("what", ["edited", "forgotten", "superseded"])
def test_a_vector_that_is_being_added_does_not_outlive_its_text(
    workspace: WorkspaceRef, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    ana, adding, done = Person(), threading.Event(), threading.Event()
    memory_id = ana.said("one text")
    assert memory_id is not None
    message_id = message_of(memory_id)
    found = moving.missing(embedder=OTHER, limit=10)
    bulk_create = MemoryVector.objects.bulk_create

    def slow(*rows: Any, **options: Any) -> Any:
        made = bulk_create(*rows, **options)
        adding.set()
        wait_for(done)
        return made

    monkeypatch.setattr(MemoryVector.objects, "bulk_create", slow)
    person: dict[str, Callable[[], object]] = {
        "edited": lambda: store.edit(
            user_id=ana.user_id, memory_id=memory_id, text="mine", embedder=LOCAL, vector=vector("mine")
        ),
        "forgotten": lambda: store.forget(user_id=ana.user_id, memory_id=memory_id),
        "superseded": lambda: ana.said("another text", replaces=[message_id]),
    }

    def act() -> None:
        assert adding.wait(10)
        person[what]()
        done.set()

    actor = threading.Thread(target=lambda: elsewhere(workspace, act))
    actor.start()
    moving.add(embedder=OTHER, memories=found, vectors=[vector("one text")])
    actor.join(30)
    assert done.is_set()
    assert embedders() == ([] if what == "forgotten" else [LOCAL])


def test_under_constant_use_nothing_is_lost_and_nothing_has_the_wrong_vector(
    workspace: WorkspaceRef, move: Move
) -> None:
    """A thread remembers, edits and forgets all the while the command runs, as jobs and people do."""
    ana, done = Person(), threading.Event()
    kept: set[uuid.UUID] = set()
    for number in range(20):
        memory_id = ana.said(f"before {number}")
        assert memory_id is not None
        kept.add(memory_id)

    def again(action: Callable[[str], object]) -> object:
        """As jobs do it: with the workspace's embedder, anew if that has changed."""
        while True:
            try:
                return action(store.policy().embedder)
            except EmbedderChanged:
                continue

    def use() -> None:
        number = 0
        while not done.is_set():
            number += 1
            text = f"meanwhile {number}"
            made = again(
                lambda embedder, text=text: ana.said(  # type: ignore[misc]
                    text, embedder=embedder, vector=point(text, embedder)
                )
            )
            assert isinstance(made, uuid.UUID)
            kept.add(made)
            if number % 3 == 0:
                edited = next(iter(kept))
                again(
                    lambda embedder, edited=edited, text=text: store.edit(  # type: ignore[misc]
                        user_id=ana.user_id,
                        memory_id=edited,
                        text=f"{text}, edited",
                        embedder=embedder,
                        vector=point(f"{text}, edited", embedder),
                    )
                )
            if number % 4 == 0:
                store.forget(user_id=ana.user_id, memory_id=kept.pop())

    user = threading.Thread(target=lambda: elsewhere(workspace, use))
    user.start()
    try:
        for to in (OTHER, LOCAL, OTHER, LOCAL, OTHER):
            move("acme", batch=4, to=to)
    finally:
        done.set()
        user.join(30)
    assert set(Memory.objects.values_list("id", flat=True)) == kept
    rows = list(MemoryVector.objects.select_related("memory"))
    assert {(row.memory_id, row.embedder) for row in rows} == {(each, OTHER) for each in kept}
    assert len(rows) == len(kept)
    for row in rows:
        assert row.embedding == pytest.approx(point(row.memory.text, OTHER), abs=1e-3)
