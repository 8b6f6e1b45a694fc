"""chat.conversations: pages of messages, ownership in every function. (The list: test_listing.)"""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from chat import conversations, listing
from chat.conversations import ConversationNotFound, EmployeeNotFound, InvalidTitle
from chat.models import Conversation, Message, Status
from chat.paging import InvalidCursor
from tests.portal.conftest import Place, inside, say


def all_pages(size: int, **kwargs: object) -> list[object]:
    found: list[object] = []
    cursor = None
    while True:
        page = listing.page(cursor=cursor, size=size, **kwargs)  # type: ignore[arg-type]
        assert 0 < len(page.items) <= size
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_pages_hold_each_conversation_once_newest_first(here: Place) -> None:
    with inside(here.workspace):
        moment = timezone.now()
        ids = [conversations.create(user_id=here.user.id).id for _ in range(7)]
        # Four of one instant: the id decides between them, or a page's edge would lose or repeat one.
        Conversation.objects.filter(id__in=ids[:4]).update(updated_at=moment)
        Conversation.objects.filter(id__in=ids[4:]).update(updated_at=moment + timedelta(seconds=1))
        found = [c.id for c in all_pages(2, user_id=here.user.id)]  # type: ignore[attr-defined]
        mine = Conversation.objects.filter(user_id=here.user.id).order_by("-updated_at", "-id")
        assert found == list(mine.values_list("id", flat=True))
        assert set(ids) < set(found)


def test_what_arrives_meanwhile_shifts_no_page(here: Place) -> None:
    with inside(here.workspace):
        for _ in range(4):
            conversations.create(user_id=here.user.id)
        first = listing.page(user_id=here.user.id, size=3)
        conversations.create(user_id=here.user.id)
        second = listing.page(user_id=here.user.id, size=3, cursor=first.next_cursor)
        assert {c.id for c in first.items}.isdisjoint(c.id for c in second.items)
        assert len(second.items) == 2 and second.next_cursor is None


@pytest.mark.parametrize(
    "cursor", ["x", "é", "AAAA", "p.AAAA", "a.", "l.é", "MjAyNi0wMS0wMQ", "=", "MjAyNi0wMS0wMVQwMDowMCAxMjM"]
)
def test_a_cursor_of_nobody_is_refused(here: Place, cursor: str) -> None:
    with inside(here.workspace), pytest.raises(InvalidCursor):
        listing.page(user_id=here.user.id, cursor=cursor)


def test_messages_come_newest_first_with_the_running_answer(here: Place) -> None:
    with inside(here.workspace):
        _, answer = say(here.conversation_id, "and now?", "so f")
        Message.objects.filter(id=answer.id).update(status=Status.RUNNING)
        page = conversations.messages_page(user_id=here.user.id, conversation_id=here.conversation_id, size=2)
        assert [(m.role, m.text, m.status) for m in page.items] == [
            ("assistant", "so f", "running"),
            ("user", "and now?", "complete"),
        ]
        assert page.items[0].parent_id == page.items[1].id
        rest = conversations.messages_page(
            user_id=here.user.id, conversation_id=here.conversation_id, cursor=page.next_cursor
        )
        assert [m.text for m in rest.items] == ["answer apricot", "question apricot"]
        assert rest.next_cursor is None


def test_someone_elses_conversation_is_not_found(here: Place, neighbour: Place) -> None:
    theirs = {"user_id": here.user.id, "conversation_id": neighbour.conversation_id}
    unknown = {"user_id": here.user.id, "conversation_id": uuid4()}
    with inside(here.workspace):
        for whose in (theirs, unknown):
            for function in (conversations.get, conversations.delete, conversations.messages_page):
                with pytest.raises(ConversationNotFound):
                    function(**whose)
            with pytest.raises(ConversationNotFound):
                conversations.messages_page(**whose, everything=True)
            with pytest.raises(ConversationNotFound):
                conversations.select_version(**whose, message_id=uuid4())
            with pytest.raises(ConversationNotFound):
                listing.change(**whose, title="mine now")
            with pytest.raises(ConversationNotFound):
                listing.restore(**whose)
        assert conversations.agents_of(**theirs) == conversations.agents_of(**unknown)
        assert Conversation.objects.get(id=neighbour.conversation_id).title == "About nectarine"


def test_rename_trims_and_checks(here: Place) -> None:
    whose = {"user_id": here.user.id, "conversation_id": here.conversation_id}
    with inside(here.workspace):
        assert listing.change(**whose, title="  a\n new\x00 title ").title == "a new title"
        for bad in ("", " \n", "x" * 201, "\x00"):
            with pytest.raises(InvalidTitle):
                listing.change(**whose, title=bad)


def test_create_needs_an_active_employee(here: Place) -> None:
    with inside(here.workspace):
        here.agent.is_active = False
        here.agent.save()
        for agent_id in (here.agent.id, uuid4()):
            with pytest.raises(EmployeeNotFound):
                conversations.create(user_id=here.user.id, agent_id=agent_id)


def test_begin_takes_up_an_unused_conversation(here: Place) -> None:
    with inside(here.workspace):
        first = conversations.begin(user_id=here.user.id, agent_id=here.agent.id)
        assert conversations.begin(user_id=here.user.id, agent_id=here.agent.id).id == first.id
        say(first.id, "hello")
        assert conversations.begin(user_id=here.user.id, agent_id=here.agent.id).id != first.id
