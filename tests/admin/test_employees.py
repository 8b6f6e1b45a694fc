"""Hiring, changing and retiring employees."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django_tenants.utils import tenant_context

from agents.admin import text_color_on
from agents.models import Agent
from tests.admin.conftest import Rows, log_entries
from tests.conftest import SignedIn

pytestmark = pytest.mark.django_db

LIST = "/admin/agents/agent/"
FORM = {
    "name": "Nora",
    "title": "Research",
    "color": "#f59e0b",
    "is_active": "on",
    "position": "3",
    "persona": "Curious.",
    "system_prompt": "Look things up.",
    "greeting": "Hello.",
    "starters": "  What is new?  \n\n<b>Why?</b>\n",
    "model": "openai/gpt-5",
    "fallback_models": "openai/gpt-5-mini\nanthropic/claude",
    "temperature": "0.3",
    "max_tokens": "500",
}


@pytest.fixture
def client(acme_rows: Rows, signed_in: SignedIn) -> Client:
    return signed_in(acme_rows.owner, acme_rows.workspace)


def errors(client: Client, **changed: str) -> dict[str, Any]:
    response = client.post(f"{LIST}add/", {**FORM, **changed})
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_hiring_keeps_lists_as_lists(client: Client, acme_rows: Rows) -> None:
    assert client.post(f"{LIST}add/", FORM)["Location"] == LIST
    with tenant_context(acme_rows.workspace):
        agent = Agent.objects.get(name="Nora")
    assert agent.starters == ["What is new?", "<b>Why?</b>"]
    assert agent.fallback_models == ["openai/gpt-5-mini", "anthropic/claude"]
    assert (agent.temperature, agent.max_tokens, agent.position) == (0.3, 500, 3)
    assert log_entries(acme_rows.workspace.schema_name) == ["Nora"]


def test_lists_are_shown_one_a_line_and_unchanged_ones_are_no_change(client: Client, acme_rows: Rows) -> None:
    client.post(f"{LIST}add/", FORM)
    with tenant_context(acme_rows.workspace):
        agent = Agent.objects.get(name="Nora")
    url = reverse("admin:agents_agent_change", args=[agent.id])
    page = client.get(url)
    assert "What is new?\n&lt;b&gt;Why?&lt;/b&gt;</textarea>" in page.content.decode()
    form = page.context["adminform"].form
    bound = type(form)(data=FORM, instance=agent)
    assert bound.is_valid()
    assert bound.changed_data == []


def test_errors_say_what_to_change(client: Client) -> None:
    assert errors(client, color="red")["color"] == ["A colour like #4f46e5."]
    assert errors(client, temperature="3")["temperature"] == ["Ensure this value is less than or equal to 2."]
    assert errors(client, max_tokens="0")["max_tokens"] == [
        "Ensure this value is greater than or equal to 1."
    ]
    assert errors(client, model="gpt 5")["model"] == ["“gpt 5” cannot be a model's name: it has spaces."]
    assert errors(client, fallback_models="a\nb c")["fallback_models"] == [
        "“b c” cannot be a model's name: it has spaces."
    ]
    assert errors(client, starters="ok\n" + "x" * 301)["starters"] == [
        "Entry 2 has 301 characters; at most 300 are allowed."
    ]


def test_actions_retire_and_activate(client: Client, acme_rows: Rows) -> None:
    before = acme_rows.agent.updated_at
    chosen = {"_selected_action": [str(acme_rows.agent.id)]}
    page = client.post(LIST, {"action": "retire", **chosen}, follow=True).content.decode()
    assert "1 employee is retired." in page
    assert "nobody answers in this workspace" in page
    with tenant_context(acme_rows.workspace):
        agent = Agent.objects.get()
    assert not agent.is_active
    assert agent.updated_at > before

    page = client.post(LIST, {"action": "activate", **chosen}, follow=True).content.decode()
    assert "1 employee is active now." in page
    with tenant_context(acme_rows.workspace):
        assert Agent.objects.get().is_active
    history = client.get(reverse("admin:agents_agent_history", args=[agent.id])).content.decode()
    assert history.count("Changed active.") == 2


def test_the_list_counts_recent_conversations(client: Client) -> None:
    changelist = client.get(LIST).context["cl"]
    assert [agent.recent for agent in changelist.result_list] == [1]


def test_deleting_an_employee_keeps_its_conversations(client: Client, acme_rows: Rows) -> None:
    url = reverse("admin:agents_agent_delete", args=[acme_rows.agent.id])
    assert client.get(url).status_code == 200
    assert client.post(url, {"post": "yes"})["Location"] == LIST
    with tenant_context(acme_rows.workspace):
        acme_rows.conversation.refresh_from_db()
    assert acme_rows.conversation.agent_id is None


def test_initials_can_be_read_on_every_colour() -> None:
    assert text_color_on("#000000") == text_color_on("#4f46e5") == "#ffffff"
    assert text_color_on("#ffffff") == text_color_on("#f59e0b") == "#000000"
    assert text_color_on("nonsense") == "#000000"
