"""What is folded when, and what is said of it where no model can."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from konstruct.tenancy.door import WorkspaceRef
from memory import summaries
from memory.models import Summary
from memory.summaries import extract, is_full, overflow
from memory.window import Said


def said(*texts: str) -> list[Said]:
    return [Said(uuid4(), None, "user", text) for text in texts]


def test_nothing_is_folded_while_there_is_room() -> None:
    assert overflow([10] * 7, 100) == 0


def test_the_oldest_are_folded_until_there_is_room_for_many_turns() -> None:
    assert overflow([10] * 8, 100) == 4


@given(sizes=st.lists(st.integers(0, 200), max_size=30), budget=st.integers(1, 300))
def test_after_folding_there_is_room_and_the_last_exchange_is_left(sizes: list[int], budget: int) -> None:
    count = overflow(sizes, budget)
    assert 0 <= count < max(len(sizes), 1)
    rest = sizes[count:]
    if not is_full(sum(sizes), budget):
        assert count == 0
    else:
        assert len(rest) == 1 or sum(rest) <= budget * summaries.FOLD_DOWN_TO


def test_without_a_model_it_is_how_the_persons_messages_begin() -> None:
    answer = Said(uuid4(), None, "assistant", "Of course!")
    text = extract(previous="", said=[*said("I am\nAna. " + "word " * 40), answer, *said("Bye")], limit=400)
    assert text.splitlines()[0].startswith("- I am Ana. word word")
    assert text.splitlines()[0].endswith("…")
    assert text.splitlines()[1:] == ["- Bye"]


def test_without_a_model_a_long_conversation_still_knows_its_beginning_and_its_end() -> None:
    text = ""
    for number in range(250):
        text = extract(previous=text, said=said(f"Message number {number}"), limit=400)
        assert len(text) <= 400
    lines = text.splitlines()
    assert lines[:3] == ["- Message number 0", "- Message number 1", "- Message number 2"]
    assert lines[-2:] == ["- Message number 248", "- Message number 249"]
    assert lines.count("[…]") == 1


@given(
    previous=st.text(max_size=500),
    texts=st.lists(st.text(max_size=200), max_size=20),
    limit=st.integers(80, 600),
)
def test_without_a_model_it_stays_within_its_limit(previous: str, texts: list[str], limit: int) -> None:
    assert len(extract(previous=previous, said=said(*texts), limit=limit)) <= limit


def test_a_summary_is_kept_once_and_goes_with_its_conversation(
    acme: WorkspaceRef, globex: WorkspaceRef
) -> None:
    from django_tenants.utils import tenant_context

    conversation, upto = uuid4(), uuid4()
    with tenant_context(acme):
        assert summaries.keep(conversation_id=conversation, upto_id=upto, text="One\x00.")
        assert not summaries.keep(conversation_id=conversation, upto_id=upto, text="Two.")
        assert [one.text for one in Summary.objects.all()] == ["One."]
    with tenant_context(globex):
        summaries.drop(conversation_id=conversation)
        assert not Summary.objects.exists()
    with tenant_context(acme):
        summaries.drop(conversation_id=conversation)
        assert not Summary.objects.exists()
