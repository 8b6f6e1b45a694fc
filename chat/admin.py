"""Conversations in the admin: found, read as a transcript and deleted, never written in."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.text import smart_split, unescape_string_literal
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display

from agents.admin import AgentAdmin
from agents.models import Agent
from chat import memory_admin as memory_admin  # registers memory's pages
from chat import transcript
from chat.models import Channel, Conversation, Message, MessageRole, Status
from konstruct.tenancy.admin_site import TenantModelAdmin, site
from konstruct.tenancy.models import User


class AnswerStatusFilter(admin.SimpleListFilter):
    """Conversations with at least one answer that ended so, or is being written."""

    title = gettext_lazy("status of answers")
    parameter_name = "answers"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Status.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversation]) -> QuerySet[Conversation]:
        if self.value() not in Status.values:
            return queryset
        answers = Message.objects.filter(
            conversation=OuterRef("pk"), role=MessageRole.ASSISTANT, status=self.value()
        )
        return queryset.filter(Exists(answers))


@admin.register(Conversation, site=site)
class ConversationAdmin(TenantModelAdmin):
    list_display = ("title_or_none", "person", "agent", "channel_label", "message_count", "updated_at")
    list_select_related = ("agent",)
    list_filter = ("channel", ("agent", admin.RelatedOnlyFieldListFilter), AnswerStatusFilter, "updated_at")
    search_fields = ("title",)  # shows the box; get_search_results says what is searched
    search_help_text = gettext_lazy("Title, messages, or the person's e-mail or name")
    list_per_page = 50
    change_form_template = "admin/chat/conversation/transcript.html"
    fields = (("person", "agent"), ("channel", "message_count"), ("created_at", "updated_at"))
    readonly_fields = ("person", "message_count")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        """With the person, who is in the shared schema and no foreign key away, in the same query."""
        queryset: QuerySet[Conversation] = super().get_queryset(request)
        person = User.objects.filter(id=OuterRef("user_id"))
        messages = Message.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
        return queryset.annotate(
            person_email=Subquery(person.values("email")),
            person_name=Subquery(person.values("display_name")),
            messages_written=Coalesce(
                Subquery(messages.annotate(n=Count("pk")).values("n"), output_field=IntegerField()), 0
            ),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Conversation], search_term: str
    ) -> tuple[QuerySet[Conversation], bool]:
        """Every word (or "quoted phrase") has to be in the title, in a message, or in the person's name."""
        for word in smart_split(search_term):
            if word[0] in "\"'" and word[0] == word[-1] and len(word) > 1:
                word = unescape_string_literal(word)
            in_messages = Message.objects.filter(conversation=OuterRef("pk"), text__icontains=word)
            people = User.objects.filter(Q(email__icontains=word) | Q(display_name__icontains=word))
            queryset = queryset.filter(
                Q(title__icontains=word) | Q(user_id__in=people.values("id")) | Exists(in_messages)
            )
        return queryset, False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        try:
            before = UUID(request.GET["before"]) if "before" in request.GET else None
            context["transcript"] = transcript.read(kwargs["obj"], before=before)
        except (ValueError, Message.DoesNotExist):
            raise Http404(_("There is no such message in this conversation.")) from None
        context |= {"is_latest": before is None, "person": self.person(kwargs["obj"])}
        response: HttpResponse = super().render_change_form(request, context, **kwargs)
        return response

    def get_deleted_objects(
        self, objs: Iterable[Conversation], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Numbers, where Django would list every message on the page that asks for a yes."""
        conversations = list(objs)
        messages = Message.objects.filter(conversation__in=conversations).count()
        count = {_("conversations"): len(conversations), _("messages"): messages}
        return [str(conversation) for conversation in conversations], count, set(), []

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        """Back to the list, where Django goes only with those who may change what is in it."""
        super().response_delete(request, obj_display, obj_id)
        return redirect("admin:chat_conversation_changelist")

    @display(description=gettext_lazy("title"), ordering="title")
    def title_or_none(self, conversation: Conversation) -> str:
        return conversation.title or _("Untitled")

    @display(description=gettext_lazy("person"), ordering="person_email")
    def person(self, conversation: Any) -> str:
        if conversation.person_email is None:
            return _("a former user")
        name, email = conversation.person_name, conversation.person_email
        return f"{name} · {email}" if name else str(email)

    @display(
        description=gettext_lazy("channel"),
        ordering="channel",
        label={Channel.WEB: "info", Channel.SLACK: "primary", Channel.WHATSAPP: "success"},
    )
    def channel_label(self, conversation: Conversation) -> tuple[str, str]:
        return conversation.channel, conversation.get_channel_display()

    @display(description=gettext_lazy("messages"), ordering="messages_written")
    def message_count(self, conversation: Any) -> int:
        return int(conversation.messages_written)


site.unregister(Agent)


@admin.register(Agent, site=site)
class BusyAgentAdmin(AgentAdmin):
    """The list of employees, with what the room `agents` cannot know: how much each is talked to."""

    list_display = (*AgentAdmin.list_display, "recent_conversations")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        queryset: QuerySet[Agent] = super().get_queryset(request)
        recent = Conversation.objects.filter(
            agent=OuterRef("pk"), updated_at__gte=timezone.now() - timedelta(days=30)
        )
        counted = recent.order_by().values("agent").annotate(n=Count("pk")).values("n")
        return queryset.annotate(recent=Coalesce(Subquery(counted, output_field=IntegerField()), 0))

    @display(description=gettext_lazy("conversations in 30 days"), ordering="recent")
    def recent_conversations(self, agent: Any) -> int:
        return int(agent.recent)
