"""What people see, write and change of their memories."""

import uuid

import pytest

from memory import store
from memory.embedder import LOCAL
from memory.errors import InvalidCursor, InvalidText, MemoryNotFound, SecretText
from memory.models import MemoryVector
from memory.pages import Counts
from tests.memory.conftest import Person, message_of, vector

PEANUTS = "The user is allergic to peanuts"


def test_pages_are_newest_first_and_lead_to_the_end(ana: Person) -> None:
    for number in range(7):
        ana.said(f"number {number}")
    seen: list[str] = []
    cursor = None
    while True:
        page = store.page(user_id=ana.user_id, cursor=cursor, size=3)
        seen += [item.text for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        ana.said("written meanwhile, shifts nothing")
    assert seen == [f"number {number}" for number in reversed(range(7))]


def test_a_page_may_be_of_an_employee_a_kind_a_conversation_or_a_word(ana: Person) -> None:
    other = Person(user_id=ana.user_id)
    ana.told(PEANUTS)
    other.said("100% of the budget_2026 is spent")

    def found(**what: object) -> list[str]:
        return [item.text for item in store.page(user_id=ana.user_id, **what).items]  # type: ignore[arg-type]

    assert len(found()) == 3
    assert found(agent_id=other.agent_id) == ["100% of the budget_2026 is spent"]
    assert found(kind="fact") == [PEANUTS]
    assert len(found(conversation_id=ana.conversation_id)) == 2
    assert found(search="0% of the BUDGET_2") == ["100% of the budget_2026 is spent"]
    assert found(search="_", kind="fact") == []
    assert len(found(search="\x00peanuts ")) == 2


def test_a_fact_belongs_to_each_conversation_that_says_it(ana: Person) -> None:
    later = Person(user_id=ana.user_id, agent_id=ana.agent_id)
    ana.told(PEANUTS)
    later.told(PEANUTS)
    for person in (ana, later):
        page = store.page(user_id=ana.user_id, conversation_id=person.conversation_id, kind="fact")
        assert [item.text for item in page.items] == [PEANUTS]


@pytest.mark.parametrize("cursor", ["x", "!!", "ä", "MjAyNg", "MjAyNi0xMS0wMlQwOTowMDowMCB4"])
def test_only_its_own_cursors_are_taken(ana: Person, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        store.page(user_id=ana.user_id, cursor=cursor)


def test_nobody_sees_anothers(ana: Person) -> None:
    memory_id = ana.said("mine")
    assert memory_id is not None
    stranger = uuid.uuid4()
    assert store.page(user_id=stranger).items == ()
    assert store.page(user_id=None).items == ()
    assert store.get_many(user_id=stranger, ids=[memory_id]) == []
    assert store.counts(user_id=stranger) == []
    for user_id in (stranger, None):
        with pytest.raises(MemoryNotFound):
            store.get(user_id=user_id, memory_id=memory_id)
        with pytest.raises(MemoryNotFound):
            store.edit(user_id=user_id, memory_id=memory_id, text="theirs", embedder=LOCAL, vector=None)
    assert ana.texts() == ["mine"]


def test_the_memories_of_an_answer_come_in_its_order_and_the_forgotten_are_missing(ana: Person) -> None:
    first, second, third = (ana.said(text) for text in ("one", "two", "three"))
    note = store.add_note(text="The canteen opens at noon", embedder=LOCAL, vector=vector("canteen"))
    assert first and second and third
    store.forget(user_id=ana.user_id, memory_id=second)
    found = store.get_many(user_id=ana.user_id, ids=[third, note.id, second, first, uuid.uuid4()])
    assert [each.text for each in found] == ["three", "The canteen opens at noon", "one"]


def test_counts_are_by_employee(ana: Person) -> None:
    other = Person(user_id=ana.user_id)
    ana.told(PEANUTS)
    other.said("hello")
    Person(agent_id=ana.agent_id).said("somebody else")
    store.add_note(text="The canteen opens at noon", embedder=LOCAL, vector=vector("canteen"))
    mine = {counts.agent_id: counts for counts in store.counts(user_id=ana.user_id)}
    assert mine == {
        ana.agent_id: Counts(ana.agent_id, facts=1, exchanges=1, notes=0, people=1),
        other.agent_id: Counts(other.agent_id, facts=0, exchanges=1, notes=0, people=1),
    }
    everybody = {counts.agent_id: counts for counts in store.counts_by_agent()}
    assert everybody[ana.agent_id] == Counts(ana.agent_id, facts=1, exchanges=2, notes=0, people=2)
    assert everybody[None] == Counts(None, facts=0, exchanges=0, notes=1, people=0)


def test_an_edited_memory_says_and_is_found_by_the_new_words_only(ana: Person) -> None:
    (fact_id,) = ana.told("The user lives in Lleida")
    store.forget(user_id=ana.user_id, memory_id=store.page(user_id=ana.user_id, kind="exchange").items[0].id)
    (fact_id,) = ana.told("The user collects stamps")
    text = "The user collects vinyl records"
    edited = store.edit(
        user_id=ana.user_id, memory_id=fact_id, text=f"  {text}\n", embedder=LOCAL, vector=vector(text)
    )
    assert (edited.text, edited.edited_at is not None) == (text, True)
    assert store.get(user_id=ana.user_id, memory_id=fact_id).history == ()
    assert ana.recalled_texts("vinyl records") == [text]


def test_a_fact_in_ones_own_words_keeps_them_when_it_is_said_again(ana: Person) -> None:
    (fact_id,) = ana.told(PEANUTS)
    text = "Allergic to peanuts"
    store.edit(user_id=ana.user_id, memory_id=fact_id, text=text, embedder=LOCAL, vector=vector(text))
    ana.told("The user is very allergic to peanuts")
    fact = store.get(user_id=ana.user_id, memory_id=fact_id)
    assert (fact.text, fact.times_said) == (text, 2)


def test_without_a_vector_the_old_one_goes_and_a_later_one_must_be_of_the_same_text(ana: Person) -> None:
    memory_id = ana.said("The offsite is in Lleida")
    assert memory_id is not None
    text = "The offsite is in Sitges"
    store.edit(user_id=ana.user_id, memory_id=memory_id, text=text, embedder=LOCAL, vector=None)
    assert not MemoryVector.objects.exists()
    arguments = {"memory_id": memory_id, "embedder": LOCAL, "vector": vector(text)}
    assert not store.attach_vector(text="The offsite is in Lleida", **arguments)
    assert store.attach_vector(text=text, **arguments)
    assert store.attach_vector(text=text, **arguments)
    assert MemoryVector.objects.count() == 1
    store.forget(user_id=ana.user_id, memory_id=memory_id)
    assert not store.attach_vector(text=text, **arguments)


@pytest.mark.parametrize("text", ["", " \n ", "\x00", "x" * 2001, "\ud83d"])
def test_a_text_of_ones_own_has_a_length(ana: Person, text: str) -> None:
    with pytest.raises(InvalidText):
        store.add_note(text=text, user_id=ana.user_id, embedder=LOCAL, vector=None)


def test_a_secret_is_not_taken_from_ones_own_hand_either(ana: Person) -> None:
    memory_id = ana.said("hello")
    assert memory_id is not None
    text = "My password is Tiger-99."
    with pytest.raises(SecretText):
        store.add_note(text=text, user_id=ana.user_id, embedder=LOCAL, vector=None)
    with pytest.raises(SecretText):
        store.edit(user_id=ana.user_id, memory_id=memory_id, text=text, embedder=LOCAL, vector=None)
    assert ana.texts() == ["hello"]


def test_history_cannot_be_edited(ana: Person) -> None:
    before = ana.said("first")
    assert before is not None
    ana.said("second", replaces=[message_of(before)])
    with pytest.raises(MemoryNotFound):
        store.edit(user_id=ana.user_id, memory_id=before, text="third", embedder=LOCAL, vector=None)


def test_the_policy_begins_with_what_is_configured_and_keeps_it(ana: Person, settings: object) -> None:
    assert (store.policy().embedder, store.policy().managers_may_read) == (LOCAL, False)
    settings.KONSTRUCT_EMBEDDING_MODEL = "text-embedding-3-small"  # type: ignore[attr-defined]
    assert store.set_policy(managers_may_read=True).managers_may_read
    assert (store.policy().embedder, store.policy().managers_may_read) == (LOCAL, True)
