"""What is recalled, of whom, and in which order."""

import uuid
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from memory import recall as recalling
from memory import store
from memory.embedder import LOCAL
from memory.errors import EmbedderChanged
from memory.models import MemoryPolicy
from memory.ranking import MAX_RECALLED, tokens
from tests.memory.conftest import MORNING, Person, message_of, vector

PEANUTS = "The user is allergic to peanuts"


@pytest.fixture(params=[10_000, 0], ids=["all-compared", "by-the-indexes"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond how many memories the indexes are asked; with 0, always."""
    monkeypatch.setattr(recalling, "EXACT", request.param)


def note(text: str, **whose: UUID | None) -> UUID:
    return store.add_note(text=text, embedder=LOCAL, vector=vector(text), **whose).id


@pytest.mark.usefixtures("either_way")
class TestEitherWay:
    """Whether all memories are compared or the indexes are asked."""

    def test_by_what_it_means(self, ana: Person) -> None:
        ana.told(PEANUTS)
        ana.told("The user's office is in Girona")
        assert "peanuts" in ana.recalled_texts("Which food am I allergic to?")[0]

    def test_by_a_name_that_no_vector_knows(self, ana: Person) -> None:
        for number in range(30):
            ana.said(f"Order {number}: twenty chairs for the office")
        ana.said("The one from Zyxwall is called Qrtl")
        assert ana.recalled_texts("Zyxwall")[0] == "The one from Zyxwall is called Qrtl"

    def test_in_spanish_by_stems_and_accents(self, ana: Person) -> None:
        ana.said("Las reuniones de cumpleaños son los jueves")
        ana.said("El presupuesto se cierra en octubre")
        assert ana.recalled_texts("¿Cuándo es la reunión de cumpleaños?")[0].startswith("Las reuniones")

    def test_never_anothers(self, ana: Person) -> None:
        ana.said(PEANUTS)
        assert Person(agent_id=ana.agent_id).recalled_texts("allergic to peanuts") == []
        assert Person(user_id=ana.user_id).recalled_texts("allergic to peanuts") == []

    def test_the_workspaces_notes_only_where_the_employee_may_see_them(self, ana: Person) -> None:
        for_all = note("The canteen opens at noon")
        for_this_one = note("The canteen of Girona opens at one", agent_id=ana.agent_id)
        note("The canteen of Lleida opens at two", agent_id=uuid.uuid4())
        found = ana.recalls("When does the canteen open?")
        assert {each.id for each in found} == {for_all, for_this_one}
        assert all(each.shared for each in found)
        assert ana.recalls("When does the canteen open?", sees_shared=False) == []

    def test_a_note_of_ones_own_is_for_all_employees(self, ana: Person) -> None:
        mine = note("I park in garage B", user_id=ana.user_id)
        (found,) = ana.recalls("Where do I park? Which garage?")
        assert (found.id, found.shared) == (mine, False)
        assert Person(agent_id=ana.agent_id).recalls("Which garage?") == []

    def test_not_what_is_in_the_prompt_already(self, ana: Person) -> None:
        message_id = message_of(ana.said("allergic to peanuts"))
        ana.said("allergic to peanuts and walnuts")
        found = ana.recalled_texts("allergic to peanuts", exclude_messages=[message_id])
        assert found == ["allergic to peanuts and walnuts"]

    def test_nothing_for_nothing(self, ana: Person) -> None:
        ana.told(PEANUTS)
        assert ana.recalled_texts("Write a poem about the autumn") == []

    def test_words_alone_where_there_is_no_vector_yet(self, ana: Person) -> None:
        ana.told(PEANUTS)
        assert ana.recalled_texts("peanuts", query_vector=None)[0] == PEANUTS
        waiting = store.add_note(text="The canteen opens at noon", embedder=LOCAL, vector=None)
        assert waiting.id in {each.id for each in ana.recalls("canteen opens")}

    @pytest.mark.parametrize(
        "query", ["", "  ", "'); DROP TABLE x; --", "a & b | !c <-> \\ :*", "\u200b", "%s %(user)s"]
    )
    def test_any_query_is_only_words(self, ana: Person, query: str) -> None:
        ana.told(PEANUTS)
        assert isinstance(ana.recalls(query, query_vector=vector("peanuts allergy")), list)

    def test_nothing_with_another_embedder_than_the_workspaces(self, ana: Person) -> None:
        ana.told(PEANUTS)
        MemoryPolicy.objects.update(embedder="text-embedding-3-small")
        with pytest.raises(EmbedderChanged, match="text-embedding-3-small"):
            ana.recalls("peanuts")


def test_one_round_trip(ana: Person) -> None:
    ana.told(PEANUTS)
    with CaptureQueriesContext(connection) as queries:
        assert ana.recalls("allergic to peanuts")
    assert len(queries) == 1


def test_of_equally_relevant_ones_the_newer_comes_first(ana: Person) -> None:
    ana.said("The offsite is in Sitges", said_at=MORNING - timedelta(days=400))
    ana.said("The offsite is in Lisbon", said_at=MORNING)
    assert ana.recalled_texts("Where is the offsite?")[0] == "The offsite is in Lisbon"


def test_a_confirmed_fact_is_as_recent_as_when_it_was_said_last(ana: Person) -> None:
    ana.told(PEANUTS, said_at=MORNING - timedelta(days=400))
    ana.told(PEANUTS, said_at=MORNING)
    fact = next(each for each in ana.recalls("peanuts") if each.kind == "fact")
    assert fact.said_at == MORNING


def test_repetitions_do_not_crowd_out_another_answer(ana: Person) -> None:
    for _ in range(8):
        ana.said("The offsite is in Sitges")
    ana.said("The offsite needs a bus")
    found = ana.recalled_texts("What about the offsite in Sitges?", limit=3)
    assert found[:2] == ["The offsite is in Sitges", "The offsite needs a bus"]


def test_no_more_than_the_limit_and_the_budget(ana: Person) -> None:
    for number in range(20):
        ana.said(f"Invoice {number} of the printer was paid")
    assert len(ana.recalls("invoice of the printer", limit=5)) == 5
    found = ana.recalled_texts("invoice of the printer", limit=20, budget_tokens=50)
    assert 0 < sum(map(tokens, found)) <= 50
    assert ana.recalls("invoice of the printer", budget_tokens=1) == []


def test_what_does_not_fit_does_not_keep_out_what_does(ana: Person) -> None:
    ana.said("printer invoice " * 90)
    ana.said("The printer invoice was paid")
    assert ana.recalled_texts("printer invoice", budget_tokens=20) == ["The printer invoice was paid"]


def test_a_long_exchange_is_shortened(ana: Person) -> None:
    ana.said("printer invoice " * 400)
    (text,) = ana.recalled_texts("printer invoice")
    assert len(text) <= MAX_RECALLED + 2
    assert text.endswith(("invoice …", "printer …"))


def test_a_question_of_thousands_of_words_is_answered(ana: Person) -> None:
    ana.told(PEANUTS)
    assert ana.recalls("peanuts " + " ".join(f"word{number}" for number in range(5000))) is not None


def test_one_of_many_users_gets_all_of_their_own(ana: Person) -> None:
    """The index of vectors knows no users: asked alone, it would return others' nearest and stop."""
    for number in range(300):
        Person().said(f"I am allergic to peanuts, number {number}")
    ana.said("I am allergic to peanuts")
    assert ana.recalled_texts("allergic to peanuts") == ["I am allergic to peanuts"]
