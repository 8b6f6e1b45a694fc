"""Tenant data without a workspace: nothing, loudly."""

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from agents.models import Agent
from chat.models import Conversation, Message
from konstruct.tenancy.door import WorkspaceRef
from konstruct.tenancy.isolation import NoWorkspace


@pytest.mark.parametrize("model", [Agent, Conversation, Message])
def test_tenant_models_raise_in_the_shared_schema(acme: WorkspaceRef, model: type) -> None:
    with pytest.raises(NoWorkspace):
        model.objects.all()  # type: ignore[attr-defined]
    with pytest.raises(NoWorkspace):
        model().save()


def test_tenant_tables_do_not_exist_in_public(acme: WorkspaceRef) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
            " AND (table_name LIKE 'chat_%%' OR table_name LIKE 'agents_%%')"
        )
        assert cursor.fetchall() == []


def test_each_workspace_has_its_own_rows(acme: WorkspaceRef, globex: WorkspaceRef) -> None:
    with tenant_context(acme):
        Agent.objects.create(name="Ada")
    with tenant_context(globex):
        assert not Agent.objects.exists()
    with tenant_context(acme):
        assert Agent.objects.get().name == "Ada"
