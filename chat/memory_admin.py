"""The admin of memory, with what only this room knows: employees' names, and jobs."""

from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest

from agents.models import Agent
from chat import memories
from konstruct.tenancy.admin_site import membership_of, site
from memory.admin import MemoryAdmin, NoteAdmin
from memory.authoring import Later
from memory.models import Memory, SharedNote


@admin.register(Memory, site=site)
class NamedMemoryAdmin(MemoryAdmin):
    def employees(self) -> dict[UUID, str]:
        return _names()


@admin.register(SharedNote, site=site)
class SharedNoteAdmin(NoteAdmin):
    def employees(self) -> dict[UUID, str]:
        return _names()

    def later(self, request: HttpRequest) -> Later:
        return memories.embed_later(_workspace_id(request))

    def forget(self, request: HttpRequest, memory_id: UUID) -> None:
        memories.forget(workspace_id=_workspace_id(request), user_id=None, memory_id=memory_id)


def _names() -> dict[UUID, str]:
    return dict(Agent.objects.values_list("id", "name"))


def _workspace_id(request: HttpRequest) -> UUID:
    membership = membership_of(request)
    assert membership is not None, "TenantModelAdmin lets nobody else in."
    return membership.workspace_id
