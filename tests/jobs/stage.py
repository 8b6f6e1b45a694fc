"""Exchanges, stored and settled as turns do it, in the database that real workers work on. A process of its
own, since the test's Django is connected to pytest's database:

    python -m tests.jobs.stage SLUG USER_ID AGENT_ID CONVERSATIONS EXCHANGES_EACH

Prints the questions' ids with their texts, as JSON.
"""

import itertools
import json
import sys
import uuid

# Words that nobody says, no two alike in their first letters.
WORDS = ["".join(letters) for letters in itertools.product("bdfg", "aeiou", "klmn", "aeiou", "prst")]


def main(slug: str, user_id: str, agent_id: str, conversations: int, each: int) -> None:
    import django

    django.setup()
    from django_tenants.utils import tenant_context

    from chat.answers import Settled
    from chat.models import Conversation, Message, Status
    from chat.settlement import settle_and_defer
    from konstruct.tenancy.workspaces import get_workspace

    workspace = get_workspace(slug=slug)
    said: dict[str, str] = {}
    words = iter(WORDS)
    with tenant_context(workspace):
        rooms = [
            Conversation.objects.create(user_id=user_id, agent_id=agent_id, title="Lunch")
            for _ in range(conversations)
        ]
        last: dict[uuid.UUID, uuid.UUID | None] = {room.id: None for room in rooms}
        for _, room in itertools.product(range(each), rooms):
            text = f"I am allergic to {next(words)}."
            question = Message.objects.create(
                conversation=room, role="user", text=text, parent_id=last[room.id]
            )
            reply = Message.objects.create(
                conversation=room,
                parent=question,
                role="assistant",
                status=Status.RUNNING,
                agent_id=agent_id,
            )
            settle_and_defer(
                conversation_id=room.id,
                reply_id=reply.id,
                settled=Settled(text="Noted.", status="complete"),
                workspace_id=workspace.id,
            )
            said[str(question.id)], last[room.id] = text, reply.id
    print(json.dumps(said))


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "konstruct.settings")
    main(*sys.argv[1:4], *map(int, sys.argv[4:6]))  # type: ignore[arg-type]
