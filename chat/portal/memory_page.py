"""What the memory page is given: each employee with the first of what it knows of the person."""

from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Q

from agents.models import Agent
from chat.portal.memory_schemas import CountOut, MemoryPage, counts, offs, shown
from chat.portal.people import face
from memory import store
from memory.values import MAX_NOTE

# How many of each kind come with the page; the rest is asked for.
FIRST = {"fact": 10, "note": 10, "exchange": 4}
FIRST_NOTES = 10
_NOTHING = CountOut(agent_id=None, facts=0, exchanges=0, notes=0)


def page_data(*, user_id: UUID, manages: bool, show: str = "") -> dict[str, Any]:
    """For the module of the page. show: the id of the one memory that was asked for, if any."""
    known = {one.agent_id: one for one in counts(user_id).items}
    agents = list(Agent.objects.filter(Q(is_active=True) | Q(id__in=[key for key in known if key])))
    off = set(offs(user_id).agent_ids)
    groups = [_group(user_id, agent.id, known.get(agent.id, _NOTHING)) for agent in agents]
    if None in known:
        groups.append(_group(user_id, None, known[None]))
    return {
        "conversation": None,
        "faces": msgspec.to_builtins([face(agent) for agent in agents]),
        "groups": [{**group, "off": group["agent_id"] in map(str, off)} for group in groups],
        "notes": _page(user_id, user_id=None, size=FIRST_NOTES),
        "manages": manages,
        "managers_may_read": store.policy().managers_may_read,
        "limit": MAX_NOTE,
        "asked": show,
        "shown": _one(user_id, show),
    }


def _group(user_id: UUID, agent_id: UUID | None, count: CountOut) -> dict[str, Any]:
    """What one employee knows: how much, and the first of each kind. (Those of no employee are notes.)"""
    there = {"fact": count.facts, "note": count.notes, "exchange": count.exchanges}
    lists = {
        kind: _page(user_id, user_id=user_id, agent_id=agent_id, kind=kind, size=FIRST[kind])
        for kind, number in there.items()
        if number
    }
    return {"agent_id": str(agent_id) if agent_id else None, "counts": there, "lists": lists}


def _page(viewer_id: UUID, **what: Any) -> dict[str, Any]:
    found = store.page(**what)
    page = MemoryPage(items=shown(viewer_id, found.items), next_cursor=found.next_cursor)
    return page.model_dump(mode="json")


def _one(user_id: UUID, memory_id: str) -> dict[str, Any] | None:
    """The memory of that id, of the person's own or of the workspace's; None: unknown, or forgotten."""
    try:
        found = store.get_many(user_id=user_id, ids=[UUID(memory_id)])
    except ValueError:
        return None
    return shown(user_id, found)[0].model_dump(mode="json") if found else None
