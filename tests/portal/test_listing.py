"""A user's list of conversations: pinned, archived, deleted and restored; nothing finds what was deleted."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from chat import conversations, listing, lookups
from chat.conversations import ConversationNotFound
from chat.models import Conversation, Message, MessageRole, SearchEntry, Status
from konstruct.tenancy.models import User
from tests.portal.conftest import Place, inside, say


def ids(user: User, **wanted: Any) -> list[UUID]:
    return [c.id for c in listing.page(user_id=user.id, **wanted).items]


def add(place: Place, number: int, **fields: Any) -> list[UUID]:
    """More conversations, the last one with the latest message; out come their ids, latest first."""
    made = [conversations.create(user_id=place.user.id).id for _ in range(number)]
    for minutes, one in enumerate(made, start=1):
        Conversation.objects.filter(id=one).update(
            updated_at=timezone.now() + timedelta(minutes=minutes), **fields
        )
    return made[::-1]


def change(place: Place, conversation_id: UUID, **changes: Any) -> None:
    listing.change(user_id=place.user.id, conversation_id=conversation_id, **changes)


def test_pinned_ones_come_first_and_archived_ones_are_elsewhere(here: Place) -> None:
    with inside(here.workspace):
        newest, middle, oldest = add(here, 3)
        change(here, oldest, pinned=True)
        change(here, newest, archived=True)
        assert ids(here.user) == [oldest, middle, here.conversation_id]
        assert ids(here.user, archived=True) == [newest]
        change(here, newest, pinned=True)
        assert ids(here.user) == [newest, oldest, middle, here.conversation_id]
        assert ids(here.user, archived=True) == []
        change(here, newest, archived=True)
        change(here, newest, archived=False)
        assert ids(here.user) == [oldest, newest, middle, here.conversation_id]
        change(here, oldest, pinned=False)
        assert ids(here.user) == [newest, middle, oldest, here.conversation_id]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 100])
def test_pages_go_from_the_pinned_to_the_others_and_lose_none(here: Place, size: int) -> None:
    with inside(here.workspace):
        pinned = add(here, 3, pinned_at=timezone.now())
        others = [*add(here, 4), here.conversation_id]
        add(here, 2, archived_at=timezone.now())
        found: list[UUID] = []
        cursor = None
        while True:
            page = listing.page(user_id=here.user.id, cursor=cursor, size=size)
            assert 0 < len(page.items) <= size
            found += [c.id for c in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == [*pinned, *others]


def test_a_cursor_of_one_list_is_none_of_the_other(here: Place) -> None:
    with inside(here.workspace):
        add(here, 2)
        cursor = listing.page(user_id=here.user.id, size=1).next_cursor
        with pytest.raises(listing.InvalidCursor):
            listing.page(user_id=here.user.id, archived=True, cursor=cursor)


def test_writing_on_in_an_archived_conversation_takes_it_up_again(here: Place) -> None:
    with inside(here.workspace):
        change(here, here.conversation_id, archived=True)
        conversation = Conversation.objects.get(id=here.conversation_id)
        # What settles an answer, or is sorted by a job, does not.
        Conversation.objects.filter(id=conversation.id).update(updated_at=timezone.now())
        assert ids(here.user) == []
        (said,) = say(conversation.id, "one more thing")
        conversation.leaf, conversation.updated_at = said, timezone.now()
        Conversation.objects.filter(id=conversation.id).update(leaf=None)
        conversation.save(update_fields=["leaf", "updated_at"])
        assert ids(here.user) == [here.conversation_id]


def gone_paths(place: Place) -> list[tuple[str, str, object]]:
    return [
        ("get", place.url, None),
        ("patch", place.url, {"pinned": True}),
        ("delete", place.url, None),
        ("get", f"{place.url}/messages", None),
        ("get", f"{place.url}/messages?all=true", None),
        ("post", f"{place.url}/select", {"message_id": str(uuid4())}),
        ("get", f"{place.url}/shares", None),
        ("post", f"{place.url}/shares", None),
        ("get", f"{place.url}/export?format=json", None),
        ("get", f"{place.url}/export?format=markdown", None),
        ("get", f"/c/{place.conversation_id}", None),
    ]


def ask(place: Place, method: str, path: str, body: object = None) -> Any:
    data = "" if body is None else json.dumps(body)
    return place.client.generic(method.upper(), path, data, content_type="application/json")


def test_a_deleted_conversation_is_found_by_nothing_and_comes_back_whole(here: Place) -> None:
    before = ask(here, "get", f"{here.url}/messages").json()
    share = ask(here, "post", f"{here.url}/shares").json()
    assert ask(here, "delete", here.url).status_code == 204
    for method, path, body in gone_paths(here):
        response = ask(here, method, path, body)
        assert response.status_code == 404 and here.word not in response.content.decode(), path
    assert ask(here, "get", f"/s/{share['id']}").status_code == 404
    for path in ("/api/conversations", f"/api/conversations?search={here.word}", "/", "/shares"):
        assert "About apricot" not in ask(here, "get", path).content.decode(), path
    with inside(here.workspace):
        answer_id = UUID(before["items"][0]["id"])
        whose = {"conversation_id": here.conversation_id, "user_id": here.user.id}
        assert lookups.open_conversation(**whose) is None
        assert lookups.find_answer(**whose, message_id=answer_id) is None
        assert lookups.find_exchange(**whose, reply_id=answer_id) is None
        assert lookups.set_feedback(**whose, message_id=answer_id, value="up", comment=None) is False
    restored = ask(here, "post", f"{here.url}/restore")
    assert restored.status_code == 200 and restored.json()["id"] == str(here.conversation_id)
    assert ask(here, "get", f"{here.url}/messages").json() == before
    assert ask(here, "get", f"/s/{share['id']}").status_code == 200
    # Twice is once too often.
    assert ask(here, "post", f"{here.url}/restore").status_code == 404


@pytest.mark.parametrize("stranger", ["there", "neighbour"])
def test_nobody_else_can_restore_or_change_it(
    here: Place, stranger: str, request: pytest.FixtureRequest
) -> None:
    theirs: Place = request.getfixturevalue(stranger)
    assert ask(theirs, "delete", theirs.url).status_code == 204
    assert ask(here, "post", f"{theirs.url}/restore").status_code == 404
    assert ask(here, "patch", theirs.url, {"pinned": True}).status_code == 404
    assert ask(theirs, "post", f"{theirs.url}/restore").status_code == 200


def test_a_running_answer_is_asked_to_stop(here: Place) -> None:
    with inside(here.workspace):
        running = Message.objects.create(
            conversation_id=here.conversation_id,
            role=MessageRole.ASSISTANT,
            status=Status.RUNNING,
            heartbeat_at=timezone.now(),
        )
        conversations.delete(user_id=here.user.id, conversation_id=here.conversation_id)
        running.refresh_from_db()
        assert running.stop_requested


def test_after_a_day_a_deleted_conversation_is_purged(here: Place, neighbour: Place) -> None:
    with inside(here.workspace):
        kept = add(here, 1)[0]
        for one in (kept, here.conversation_id):
            conversations.delete(user_id=here.user.id, conversation_id=one)
        old = timezone.now() - listing.RESTORABLE - timedelta(seconds=1)
        Conversation.with_deleted.filter(id=here.conversation_id).update(deleted_at=old)
        with pytest.raises(ConversationNotFound):
            listing.restore(user_id=here.user.id, conversation_id=here.conversation_id)
        assert listing.purge_deleted() == 1
        assert list(Conversation.with_deleted.filter(user_id=here.user.id)) == [
            Conversation.with_deleted.get(id=kept)
        ]
        assert not Message.objects.filter(conversation_id=here.conversation_id).exists()
        assert not SearchEntry.objects.filter(conversation_id=here.conversation_id).exists()
        assert ids(neighbour.user) == [neighbour.conversation_id]
        assert listing.purge_deleted() == 0
        listing.restore(user_id=here.user.id, conversation_id=kept)
