"""Changes and reads of the servers' database, by a process of its own.

The test process cannot do it: its Django is connected to pytest's own database. `Backstage` starts this
module as a script, which takes JSON lines `[name, arguments]` and answers with JSON lines.
"""

import json
import subprocess
import sys
from typing import Any, Self

from tests.live.people import Person, Place, Seat
from tests.live.servers import ROOT, environment

OWNER_PASSWORD = "a-long-Password-1"


class Backstage:
    """`with Backstage() as backstage: backstage.workspace(...)`. Every call has committed when it returns.

    changes: to the environment, where it is not the test run's own database.
    """

    def __init__(self, **changes: str) -> None:
        self._changes = changes

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.live.backstage"],
            cwd=ROOT,
            env=environment(**self._changes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=20)

    def _call(self, what: str, /, **arguments: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([what, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    # --- the scene ----------------------------------------------------------------------------------

    def workspace(self, slug: str, name: str, *, host: str = "") -> Place:
        """A new one, by `manage.py create_workspace`; its owner is `owner@<slug>.example`."""
        return Place(self._call("make_workspace", slug=slug, name=name, host=host), slug, name)

    def person(self, place: Place, *, role: str = "member", password: str | None = None) -> Person:
        """A new member. Without a password nobody can sign in as this person, and making it is fast."""
        return Person(**self._call("make_person", slug=place.slug, role=role, password=password), place=place)

    def join(self, person: Person, place: Place, *, role: str = "member") -> Person:
        """The same user as a member of another workspace too."""
        self._call("set_role", user_id=person.id, slug=place.slug, role=role)
        return Person(person.id, person.email, person.name, role, place)

    def hire(self, place: Place, model: str, **fields: Any) -> str:
        """An employee who is not the default one, and answers as the fake upstream's `model` does."""
        return str(self._call("hire", slug=place.slug, model=model, fields=fields))

    def conversation(self, person: Person, agent: str | None = None) -> str:
        return str(self._call("make_conversation", slug=person.place.slug, user_id=person.id, agent=agent))

    def seat(self, place: Place, model: str = "echo", *, person: Person | None = None, **agent: Any) -> Seat:
        """A conversation of a new person, or of the one given, with an employee of that model."""
        person = person or self.person(place)
        hired = self.hire(place, model, **agent)
        return Seat(person, self.conversation(person, hired), hired)

    def another(self, seat: Seat) -> Seat:
        """A further conversation of the same person with the same employee."""
        return Seat(seat.person, self.conversation(seat.person, seat.agent), seat.agent)

    def seats(self, place: Place, model: str, count: int, *, people: int = 1) -> list[Seat]:
        """Many conversations at once, of so many new people in turn, all with one employee of that model."""
        agent = self.hire(place, model)
        persons = [self.person(place) for _ in range(people)]
        owners = [persons[number % people] for number in range(count)]
        ids = self._call(
            "make_conversations", slug=place.slug, user_ids=[owner.id for owner in owners], agent=agent
        )
        return [Seat(owner, conversation, agent) for owner, conversation in zip(owners, ids, strict=True)]

    # --- what is stored -------------------------------------------------------------------------------

    def messages(self, seat: Seat) -> list[dict[str, Any]]:
        """All messages of the conversation, oldest first."""
        return list(self._call("messages", slug=seat.person.place.slug, conversation=seat.conversation))

    def messages_of(self, seats: list[Seat]) -> dict[str, list[dict[str, Any]]]:
        """Of many conversations of one workspace: all messages of each, oldest first."""
        conversations = [seat.conversation for seat in seats]
        found: dict[str, list[dict[str, Any]]] = {conversation: [] for conversation in conversations}
        slug = seats[0].person.place.slug
        for message in self._call("messages_of", slug=slug, conversations=conversations):
            found[message["conversation_id"]].append(message)
        return found

    def connections(self) -> dict[str, int]:
        """The database's connections by application name."""
        return dict(self._call("connections"))

    def message(self, seat: Seat, message_id: str) -> dict[str, Any]:
        return next(m for m in self.messages(seat) if m["id"] == message_id)

    def leaf(self, seat: Seat) -> str | None:
        leaf = self._call("leaf", slug=seat.person.place.slug, conversation=seat.conversation)
        return str(leaf) if leaf else None

    def deafen(self) -> None:
        """Cut the connections by which servers hear of changes; they are back in a tenth of a second."""
        self._call("deafen")

    def delete_conversation(self, seat: Seat, *, unheard: bool = False) -> None:
        """As the admin deletes it, for good. `unheard`: in a moment in which no server hears of it."""
        where = {"slug": seat.person.place.slug, "conversation": seat.conversation}
        self._call("delete_conversation", unheard=unheard, **where)

    # --- what is remembered ---------------------------------------------------------------------------

    def remember(self, seat: Seat, text: str, *, days_ago: int = 1, message_id: str | None = None) -> str:
        """An exchange that this person had with this employee, in this conversation; the memory's id."""
        return str(
            self._call(
                "remember",
                slug=seat.person.place.slug,
                user_id=seat.person.id,
                agent=seat.agent,
                conversation=seat.conversation,
                message_id=message_id,
                text=text,
                days_ago=days_ago,
            )
        )

    def note(self, place: Place, text: str) -> str:
        """A note of the workspace's own, for everybody; its id."""
        return str(self._call("note", slug=place.slug, text=text))

    def forget(self, seat: Seat, memory_id: str) -> None:
        who = {"slug": seat.person.place.slug, "user_id": seat.person.id}
        self._call("forget", memory_id=memory_id, **who)

    def switch_memory(self, seat: Seat, *, off: bool, agent: str | None, conversation: str | None) -> None:
        who = {"slug": seat.person.place.slug, "user_id": seat.person.id}
        self._call("switch_memory", off=off, agent=agent, conversation=conversation, **who)

    def hold_memories(self, place: Place) -> None:
        """Lock the workspace's memories: whoever reads them waits, until `release_memories`."""
        self._call("hold_memories", slug=place.slug)

    def release_memories(self) -> None:
        self._call("release_memories")

    def fill(self, seat: Seat, exchanges: list[tuple[str, str]]) -> list[str]:
        """Questions and answers at the end of the conversation, as if they had been said; their ids."""
        where = {"slug": seat.person.place.slug, "conversation": seat.conversation, "agent": seat.agent}
        return list(self._call("fill", exchanges=exchanges, **where))

    def rewrite(self, seat: Seat, message_id: str, text: str) -> None:
        """Change a message behind everybody's back: who shows the new text has read it anew."""
        self._call("rewrite", slug=seat.person.place.slug, message_id=message_id, text=text)

    def summaries(self, seat: Seat) -> list[dict[str, Any]]:
        """The conversation's, oldest first."""
        where = {"slug": seat.person.place.slug, "conversation": seat.conversation}
        return list(self._call("summaries", **where))

    def drop_other_jobs(self, seat: Seat) -> None:
        """Delete all waiting jobs but those of this conversation: what other tests have left."""
        self._call("drop_other_jobs", conversation=seat.conversation)

    def model_calls(self, seat: Seat) -> list[dict[str, Any]]:
        """What the ledger says of the conversation, oldest first."""
        where = {"slug": seat.person.place.slug, "conversation": seat.conversation}
        return list(self._call("model_calls", **where))

    # --- changes of access ----------------------------------------------------------------------------

    def session(self, person: Person) -> str:
        """The key of a new session of that person."""
        return str(self._call("make_session", user_id=person.id, workspace_id=person.place.id))

    def end_session(self, key: str) -> None:
        self._call("end_session", key=key)

    def expire_session(self, key: str) -> None:
        """Its time is over; the row is still there."""
        self._call("expire_session", key=key)

    def remove_member(self, person: Person) -> None:
        self._call("remove_member", user_id=person.id, slug=person.place.slug)

    def set_role(self, person: Person, role: str) -> None:
        self._call("set_role", user_id=person.id, slug=person.place.slug, role=role)

    def deactivate(self, person: Person) -> None:
        self._call("change_user", user_id=person.id, fields={"is_active": False})

    def set_password(self, person: Person, password: str) -> None:
        self._call("set_password", user_id=person.id, password=password)

    def suspend(self, place: Place) -> None:
        self._call("command", name="suspend_workspace", arguments=[place.slug])

    def delete_workspace(self, place: Place) -> None:
        self._call("command", name="delete_workspace", arguments=[place.slug, "--yes"])

    def dismiss(self, place: Place, agent: str | None = None) -> None:
        """Make the employee inactive, or all of them."""
        self._call("dismiss", slug=place.slug, agent=agent)


# --- the script -------------------------------------------------------------------------------------


def _serve() -> None:
    import django

    django.setup()
    from tests.live import backstage_script

    out, sys.stdout = sys.stdout, sys.stderr  # what commands print is not an answer
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": getattr(backstage_script, name)(**arguments)}
        except Exception as error:
            answer = {"error": f"{name}: {type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), file=out, flush=True)


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "konstruct.settings")
    _serve()
