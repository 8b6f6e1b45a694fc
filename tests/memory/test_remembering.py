"""What jobs write: once, in order, and never what must not be."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.isolation import NoWorkspace
from memory import store
from memory.embedder import LOCAL
from memory.errors import EmbedderChanged
from memory.models import Memory, MemoryPolicy, MemoryVector
from memory.values import NewFact
from tests.memory.conftest import MORNING, Person, message_of, vector

PEANUTS = "The user is allergic to peanuts"


def test_an_exchange_is_remembered_once_however_often_its_job_runs(ana: Person) -> None:
    message_id = uuid.uuid4()
    first = ana.said("Where is the offsite? In Sitges.", message_id=message_id)
    assert ana.said("Where is the offsite? In Sitges.", message_id=message_id) == first
    assert Memory.objects.count() == MemoryVector.objects.count() == 1


def test_a_newer_answer_takes_the_first_ones_place(ana: Person) -> None:
    message_id = uuid.uuid4()
    first = ana.said("Where is the offsite? I do not know.", message_id=message_id)
    assert ana.said("Where is the offsite? In Sitges, by the sea.", message_id=message_id) == first
    assert ana.texts() == ["Where is the offsite? In Sitges, by the sea."]
    assert ana.recalled_texts("by the sea in Sitges") == ana.texts()
    assert MemoryVector.objects.count() == 1


def test_a_newer_answer_leaves_what_its_user_has_edited(ana: Person) -> None:
    message_id = uuid.uuid4()
    memory_id = ana.said("Where is the offsite? I do not know.", message_id=message_id)
    assert memory_id is not None
    text = "The offsite is in Sitges."
    store.edit(user_id=ana.user_id, memory_id=memory_id, text=text, embedder=LOCAL, vector=vector(text))
    ana.said("Where is the offsite? In Lisbon.", message_id=message_id)
    assert ana.texts() == [text]


def test_an_edited_question_makes_history_of_the_first_and_its_facts(ana: Person) -> None:
    before, after = uuid.uuid4(), uuid.uuid4()
    ana.told(PEANUTS, message_id=before)
    ana.said("I am allergic to walnuts", message_id=after, replaces=[before])
    assert ana.texts() == ["I am allergic to walnuts"]
    history = store.page(user_id=ana.user_id).items[0].history
    assert sorted(earlier.text for earlier in history) == [PEANUTS, PEANUTS]
    assert ana.recalled_texts("allergic to peanuts") == ["I am allergic to walnuts"]


def test_a_fact_said_elsewhere_too_survives_an_edited_question(ana: Person) -> None:
    before = uuid.uuid4()
    ana.told(PEANUTS, message_id=before)
    ana.told(PEANUTS)
    ana.said("I am allergic to walnuts", replaces=[before])
    assert ana.texts("fact") == [PEANUTS]


def test_of_a_questions_versions_the_last_is_current_whichever_job_comes_last(ana: Person) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    ana.said("second version", message_id=second, said_at=MORNING + timedelta(hours=2), replaces=[first])
    ana.said("first version", message_id=first, said_at=MORNING + timedelta(hours=1), replaces=[second])
    assert ana.texts() == ["second version"]


def test_secrets_in_an_exchange_are_masked(ana: Person) -> None:
    ana.said("My card is 4111 1111 1111 1111, order the chairs.")
    assert ana.texts() == ["My card is [removed], order the chairs."]


def test_facts_are_looked_for_in_an_exchange_once(ana: Person) -> None:
    message_id = uuid.uuid4()
    assert len(ana.told(PEANUTS, message_id=message_id)) == 1
    assert ana.distil(message_id, "The user works in Girona") == []
    assert ana.texts("fact") == [PEANUTS]


def test_a_fact_keeps_where_it_comes_from(ana: Person) -> None:
    message_id = uuid.uuid4()
    (fact_id,) = ana.told(PEANUTS, message_id=message_id)
    fact = store.get(user_id=ana.user_id, memory_id=fact_id)
    exchange = Memory.objects.get(kind="exchange")
    assert (fact.message_id, fact.conversation_id) == (message_id, ana.conversation_id)
    assert (fact.said_at, fact.confidence, fact.times_said) == (exchange.said_at, 0.9, 1)


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        (PEANUTS, "The user is allergic to peanuts.", PEANUTS + "."),
        (PEANUTS, "The user is severely allergic to peanuts", "The user is severely allergic to peanuts"),
        ("The user is severely allergic to peanuts", PEANUTS, "The user is severely allergic to peanuts"),
        (PEANUTS, "The user has an allergy: peanuts", "The user has an allergy: peanuts"),
    ],
)
def test_the_same_fact_said_again_is_confirmed(ana: Person, first: str, second: str, stays: str) -> None:
    assert ana.told(first) == ana.told(second)
    (fact,) = store.page(user_id=ana.user_id, kind="fact").items
    assert (fact.text, fact.times_said) == (stays, 2)
    assert fact.confirmed_at > fact.said_at


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PEANUTS, "The user is not allergic to peanuts"),
        ("The user's budget is 5000 euros", "The user's budget is 6000 euros"),
        ("The user works in the Barcelona office", "The user works in the Madrid office"),
        ("The user likes coffee", "The user dislikes coffee"),
        ("La usuaria come carne", "La usuaria ya no come carne"),
        ("The user is on call in week 40", "The user is on call in week 40 and week 44"),
    ],
)
def test_facts_that_only_look_alike_stay_two(ana: Person, first: str, second: str) -> None:
    ana.told(first)
    ana.told(second)
    assert sorted(ana.texts("fact")) == sorted([first, second])


def test_a_much_less_certain_wording_does_not_replace_a_sure_one(ana: Person) -> None:
    ana.told(PEANUTS)
    message_id = uuid.uuid4()
    ana.said("maybe severely", message_id=message_id)
    ana.distil(message_id, "The user is severely allergic to peanuts", confidence=0.5)
    (fact,) = store.page(user_id=ana.user_id, kind="fact").items
    assert (fact.text, fact.confidence, fact.times_said) == (PEANUTS, 0.9, 2)


def test_a_fact_that_contradicts_another_makes_history_of_it(ana: Person) -> None:
    first, message_id = uuid.uuid4(), uuid.uuid4()
    ana.said("Hello, I am new here", message_id=first)
    (lleida,) = ana.distil(first, "The user lives in Lleida")
    ana.said("I moved", message_id=message_id)
    ana.distil(message_id, "The user lives in Girona", supersedes=lleida)
    assert ana.texts("fact") == ["The user lives in Girona"]
    (fact,) = store.page(user_id=ana.user_id, kind="fact").items
    assert [earlier.text for earlier in fact.history] == ["The user lives in Lleida"]
    assert ana.recalled_texts("Who lives in Lleida?") == ["The user lives in Girona"]


def test_a_late_job_does_not_supersede_what_was_said_since(ana: Person) -> None:
    early = uuid.uuid4()
    ana.said("I live in Lleida", message_id=early)
    (girona,) = ana.told("The user lives in Girona")
    assert ana.distil(early, "The user lives in Lleida", supersedes=girona) == []
    assert ana.texts("fact") == ["The user lives in Girona"]


def test_facts_supersede_only_those_of_the_same_user_and_employee(ana: Person) -> None:
    stranger, other_employee = Person(), Person(user_id=ana.user_id)
    for somebody in (stranger, other_employee):
        (theirs,) = somebody.told("The user lives in Lleida")
        message_id = uuid.uuid4()
        ana.said("I live in Girona now", message_id=message_id)
        ana.distil(message_id, "The user lives in Girona", supersedes=theirs)
        assert Memory.objects.get(id=theirs).superseded_by_id is None


def test_facts_of_an_exchange_that_became_history_are_not_kept(ana: Person) -> None:
    before = uuid.uuid4()
    ana.said("I am allergic to peanuts", message_id=before)
    ana.said("I am allergic to walnuts", replaces=[before])
    assert ana.distil(before, PEANUTS) == []


def test_a_secret_is_no_fact_even_if_a_job_says_so(ana: Person) -> None:
    assert ana.told("The user's password is Tiger-99") == []


def test_known_facts_are_the_nearest_current_ones_of_user_and_employee(ana: Person) -> None:
    ana.told(PEANUTS)
    ana.told("The user parks in garage B")
    Person(user_id=ana.user_id).told("The user is allergic to walnuts")
    known = store.known_facts(
        user_id=ana.user_id, agent_id=ana.agent_id, embedder=LOCAL, vector=vector("nut allergy"), limit=5
    )
    assert [fact.text for fact in known] == [PEANUTS, "The user parks in garage B"]


def test_nothing_is_written_with_a_vector_of_another_embedder(ana: Person) -> None:
    message_id = message_of(ana.said("hello"))
    MemoryPolicy.objects.update(embedder="text-embedding-3-small")
    with pytest.raises(EmbedderChanged) as raised:
        ana.said("hello again")
    assert raised.value.embedder == "text-embedding-3-small"
    with pytest.raises(EmbedderChanged):
        ana.distil(message_id, PEANUTS)
    assert Memory.objects.count() == 1


def test_a_vector_of_the_wrong_length_is_refused_and_nothing_kept(ana: Person) -> None:
    with pytest.raises(ValueError, match="256"):
        ana.said("hello", vector=[1.0, 0.0])
    assert not Memory.objects.exists()


def test_two_workspaces_never_mix(acme: WorkspaceRef, globex: WorkspaceRef) -> None:
    ana, message_id = Person(), uuid.uuid4()
    with tenant_context(acme):
        ana.said("The Acme secret recipe has peanuts", message_id=message_id)
    with tenant_context(globex):
        assert ana.texts() == []
        assert ana.recalled_texts("recipe peanuts") == []
        assert store.forget_all(user_id=ana.user_id) == []
        fact = NewFact(PEANUTS, 0.9, None, vector(PEANUTS))
        assert store.remember_facts(message_id=message_id, facts=[fact], embedder=LOCAL) == []
    with tenant_context(acme):
        assert ana.recalled_texts("recipe peanuts") == ["The Acme secret recipe has peanuts"]


def test_outside_of_a_workspace_everything_raises(acme: WorkspaceRef) -> None:
    connection.set_schema_to_public()  # type: ignore[attr-defined]
    ana = Person()
    for attempt in (
        lambda: ana.said("hello"),
        lambda: ana.distil(uuid.uuid4(), PEANUTS),
        lambda: ana.recalls("hello"),
        lambda: ana.texts(),
        lambda: store.forget_all(user_id=ana.user_id),
        lambda: store.forget(user_id=ana.user_id, memory_id=uuid.uuid4()),
        lambda: store.forget_conversation(user_id=ana.user_id, conversation_id=uuid.uuid4()),
        lambda: store.employee_removed(agent_id=uuid.uuid4()),
        lambda: store.set_off(user_id=ana.user_id, agent_id=ana.agent_id, off=True),
        lambda: store.counts_by_agent(),
        lambda: store.policy(),
    ):
        with pytest.raises(NoWorkspace):
            attempt()
