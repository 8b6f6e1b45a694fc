"""What is forgotten is gone, with all that says it, and does not come back."""

import uuid
from datetime import timedelta

import pytest

from memory import store
from memory.embedder import LOCAL
from memory.errors import MemoryNotFound
from memory.models import Evidence, Memory, MemoryVector
from tests.memory.conftest import MORNING, Person, message_of, vector

PEANUTS = "The user is allergic to peanuts"


def test_a_forgotten_fact_is_gone_with_its_vector_and_the_exchange_that_says_it(ana: Person) -> None:
    message_id = uuid.uuid4()
    (fact_id,) = ana.told(PEANUTS, message_id=message_id)
    assert store.forget(user_id=ana.user_id, memory_id=fact_id) == [message_id]
    assert not Memory.objects.exists()
    assert not MemoryVector.objects.exists()
    assert not Evidence.objects.exists()


def test_another_fact_of_that_exchange_stays(ana: Person) -> None:
    peanuts, _ = ana.told(PEANUTS, "The user works in Girona")
    store.forget(user_id=ana.user_id, memory_id=peanuts)
    assert ana.texts() == ["The user works in Girona"]


def test_every_exchange_that_says_a_fact_goes_with_it(ana: Person) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    (fact_id,) = ana.told(PEANUTS, message_id=first)
    ana.told(PEANUTS, message_id=second)
    assert set(store.forget(user_id=ana.user_id, memory_id=fact_id)) == {first, second}
    assert ana.texts() == []


def test_a_forgotten_exchange_takes_the_facts_that_only_it_says(ana: Person) -> None:
    message_id = uuid.uuid4()
    ana.told(PEANUTS, "The user works in Girona", message_id=message_id)
    ana.told("The user works in Girona")
    exchange = Memory.objects.get(message_id=message_id, kind="exchange")
    assert store.forget(user_id=ana.user_id, memory_id=exchange.id) == [message_id]
    assert ana.texts("fact") == ["The user works in Girona"]


def test_a_fact_that_loses_a_source_is_dated_by_those_that_are_left(ana: Person) -> None:
    first = uuid.uuid4()
    ana.told(PEANUTS, message_id=first)
    later = Person(user_id=ana.user_id, agent_id=ana.agent_id)
    (fact_id,) = later.told(PEANUTS)
    store.forget(user_id=ana.user_id, memory_id=Memory.objects.get(message_id=first, kind="exchange").id)
    fact = store.get(user_id=ana.user_id, memory_id=fact_id)
    assert (fact.times_said, fact.conversation_id) == (1, later.conversation_id)
    assert fact.said_at == fact.confirmed_at == Memory.objects.get(kind="exchange").said_at


def test_history_goes_along(ana: Person) -> None:
    (lleida,) = ana.told("The user lives in Lleida")
    message_id = uuid.uuid4()
    ana.said("moved", message_id=message_id)
    (girona,) = ana.distil(message_id, "The user lives in Girona", supersedes=lleida)
    store.forget(user_id=ana.user_id, memory_id=girona)
    assert not Memory.objects.exists()


def test_the_first_version_of_an_edited_question_goes_along_and_its_job_writes_nothing(ana: Person) -> None:
    before = uuid.uuid4()
    ana.told(PEANUTS, message_id=before)
    memory_id = ana.said("I am allergic to walnuts", replaces=[before])
    assert memory_id is not None
    assert before in store.forget(user_id=ana.user_id, memory_id=memory_id)
    assert not Memory.objects.exists()
    assert ana.said(PEANUTS, message_id=before) is None


@pytest.mark.parametrize("kind", ["exchange", "fact"])
def test_a_job_that_comes_later_writes_nothing(ana: Person, kind: str) -> None:
    message_id = uuid.uuid4()
    ana.told(PEANUTS, message_id=message_id)
    store.forget(user_id=ana.user_id, memory_id=Memory.objects.get(kind=kind).id)
    assert ana.said(PEANUTS, message_id=message_id) is None
    assert ana.distil(message_id, PEANUTS) == []
    assert not Memory.objects.exists()


def test_forget_all_reaches_what_no_job_has_written_yet(ana: Person) -> None:
    ana.told(PEANUTS)
    store.add_note(text="Ana likes tea", user_id=ana.user_id, embedder=LOCAL, vector=vector("tea"))
    store.forget_all(user_id=ana.user_id)
    assert ana.texts() == []
    assert ana.said("said before, its job comes late") is None


def test_forget_all_of_one_employee_leaves_the_others(ana: Person) -> None:
    other = Person(user_id=ana.user_id)
    message_id = message_of(ana.said("to the first employee"))
    other.said("to the other employee")
    assert store.forget_all(user_id=ana.user_id, agent_id=ana.agent_id) == [message_id]
    assert ana.texts() == ["to the other employee"]
    assert ana.said("late, to the first") is None
    assert other.said("late, to the other") is not None


def test_what_is_said_after_forgetting_is_remembered(ana: Person) -> None:
    store.forget_all(user_id=ana.user_id)
    from django.utils import timezone

    assert ana.said("a new beginning", said_at=timezone.now() + timedelta(seconds=1)) is not None


def test_forgetting_covers_messages_dated_by_a_clock_that_is_ahead(ana: Person) -> None:
    ahead = MORNING + timedelta(days=3650)
    message_id = message_of(ana.said("from the future", said_at=ahead))
    store.forget_all(user_id=ana.user_id)
    assert ana.said("from the future", said_at=ahead, message_id=message_id) is None


def test_forgetting_a_conversation_takes_what_only_it_says(ana: Person) -> None:
    elsewhere = Person(user_id=ana.user_id, agent_id=ana.agent_id)
    first = uuid.uuid4()
    ana.told(PEANUTS, "The user works in Girona", message_id=first)
    elsewhere.told("The user works in Girona")
    assert store.count_of_conversation(user_id=ana.user_id, conversation_id=ana.conversation_id) == 3
    forgotten = store.forget_conversation(user_id=ana.user_id, conversation_id=ana.conversation_id)
    assert forgotten == [first]
    assert sorted(ana.texts()) == ["The user works in Girona", "The user works in Girona"]
    assert ana.said("late, in that conversation") is None
    assert elsewhere.said("late, in another") is not None


def test_nobody_forgets_for_somebody_else(ana: Person) -> None:
    memory_id = ana.said("mine")
    assert memory_id is not None
    stranger = uuid.uuid4()
    with pytest.raises(MemoryNotFound):
        store.forget(user_id=stranger, memory_id=memory_id)
    with pytest.raises(MemoryNotFound):
        store.forget(user_id=None, memory_id=memory_id)
    store.forget_all(user_id=stranger)
    store.forget_conversation(user_id=stranger, conversation_id=ana.conversation_id)
    assert ana.texts() == ["mine"]
    assert ana.said("still remembered") is not None


def test_a_shared_note_is_forgotten_without_a_trace(ana: Person) -> None:
    note = store.add_note(text="The canteen opens at noon", embedder=LOCAL, vector=vector("canteen"))
    assert store.forget(user_id=None, memory_id=note.id) == []
    assert not Memory.objects.exists()


def test_a_person_who_leaves_is_forgotten_with_their_switches(ana: Person) -> None:
    ana.told(PEANUTS)
    store.set_off(user_id=ana.user_id, agent_id=ana.agent_id, off=True)
    store.person_removed(user_id=ana.user_id)
    assert not Memory.objects.exists()
    assert store.offs(user_id=ana.user_id).agent_ids == frozenset()
    assert ana.said("a job that was under way") is None


def test_a_removed_employee_is_forgotten_by_everybody(ana: Person) -> None:
    other = Person(user_id=ana.user_id)
    ana.told(PEANUTS)
    Person(agent_id=ana.agent_id).said("somebody else to the same employee")
    other.said("to an employee who stays")
    store.employee_removed(agent_id=ana.agent_id)
    assert [memory.text for memory in Memory.objects.all()] == ["to an employee who stays"]
    assert ana.said("a job that was under way") is None


def test_with_memory_off_nothing_is_written_or_recalled(ana: Person) -> None:
    ana.told("The user is allergic to walnuts")
    waiting = uuid.uuid4()
    ana.said("I am allergic to peanuts", message_id=waiting)
    store.set_off(user_id=ana.user_id, agent_id=ana.agent_id, off=True)
    assert store.is_off(user_id=ana.user_id, agent_id=ana.agent_id, conversation_id=uuid.uuid4())
    assert ana.said("another thing") is None
    assert ana.distil(waiting, PEANUTS) == []
    assert ana.recalled_texts("allergic walnuts") == []
    assert Person(user_id=ana.user_id).said("to another employee") is not None


def test_memory_off_in_a_conversation_is_for_that_one(ana: Person) -> None:
    store.set_off(user_id=ana.user_id, conversation_id=ana.conversation_id, off=True)
    assert ana.said("in it") is None
    other = Person(user_id=ana.user_id, agent_id=ana.agent_id)
    assert other.said("allergic to walnuts") is not None
    assert ana.recalled_texts("walnuts", conversation_id=ana.conversation_id) == []
    assert ana.recalled_texts("walnuts") == ["allergic to walnuts"]
    assert store.offs(user_id=ana.user_id).conversation_ids == {ana.conversation_id}


def test_what_was_said_while_memory_was_off_is_not_remembered_later(ana: Person) -> None:
    from django.utils import timezone

    before = timezone.now()
    store.set_off(user_id=ana.user_id, agent_id=ana.agent_id, off=True)
    meanwhile = timezone.now()
    store.set_off(user_id=ana.user_id, agent_id=ana.agent_id, off=False)
    assert ana.said("meanwhile, its job comes late", said_at=meanwhile) is None
    assert ana.said("before", said_at=before) is not None
    assert ana.said("after", said_at=timezone.now()) is not None


def test_memory_is_switched_off_for_one_thing(ana: Person) -> None:
    with pytest.raises(ValueError, match="employee or for a conversation"):
        store.set_off(user_id=ana.user_id, off=True)
