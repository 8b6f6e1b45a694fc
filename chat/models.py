"""Conversations and their messages."""

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from agents.models import Agent
from konstruct.tenancy.isolation import TenantManager, TenantModel


class Channel(models.TextChoices):
    """The door a conversation came in by."""

    WEB = "web", _("portal")
    SLACK = "slack", "Slack"
    WHATSAPP = "whatsapp", "WhatsApp"


class _All(TenantManager[Any]):
    pass


class _NotDeleted(TenantManager[Any]):
    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(deleted_at=None)


class Conversation(TenantModel):
    """A user's conversation with the workspace's employees.

    `user_id` is a User of the shared schema, without a foreign key: one from every workspace's schema
    would make users undeletable. Messages form a tree; `leaf` is the end of the branch in use.

    One that was deleted (`deleted_at`) is not among `objects`, so that nothing finds it; until it is
    purged it can be restored (chat.listing). `with_deleted` has all. A query that starts at messages has
    to ask for `conversation__deleted_at=None` itself. Whoever changes what a list shows is heard by all
    who look at one: triggers tell it (migration `search_and_list_triggers`, chat.news).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user_id = models.UUIDField(_("user"))
    agent = models.ForeignKey(
        Agent, verbose_name=_("employee"), on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    channel = models.CharField(_("channel"), max_length=10, choices=Channel.choices, default=Channel.WEB)
    leaf = models.ForeignKey(
        "Message", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(_("begun"), auto_now_add=True)
    updated_at = models.DateTimeField(_("last message"), default=timezone.now)
    pinned_at = models.DateTimeField(_("pinned"), null=True, blank=True, editable=False)
    archived_at = models.DateTimeField(_("archived"), null=True, blank=True, editable=False)
    deleted_at = models.DateTimeField(_("deleted"), null=True, blank=True, editable=False)

    objects: ClassVar[TenantManager["Conversation"]] = _NotDeleted()
    with_deleted: ClassVar[TenantManager["Conversation"]] = _All()

    class Meta(TenantModel.Meta):
        abstract = False
        # What Django itself looks rows up by must find them all: to save one, to follow a key to one.
        base_manager_name = "with_deleted"
        default_manager_name = "objects"
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering: ClassVar = ["-updated_at", "-id"]
        # A list for each of the three places a conversation can be in: a page costs the same however
        # many there are in the other two.
        indexes: ClassVar = [
            models.Index(
                fields=["user_id", "-updated_at", "-id"],
                condition=Q(deleted_at=None, archived_at=None, pinned_at=None),
                name="listed_conversations",
            ),
            models.Index(
                fields=["user_id", "-updated_at", "-id"],
                condition=Q(deleted_at=None, archived_at=None, pinned_at__isnull=False),
                name="pinned_conversations",
            ),
            models.Index(
                fields=["user_id", "-updated_at", "-id"],
                condition=Q(deleted_at=None, archived_at__isnull=False),
                name="archived_conversations",
            ),
            models.Index(
                fields=["deleted_at"],
                condition=Q(deleted_at__isnull=False),
                name="deleted_conversations",
            ),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(pinned_at=None) | Q(archived_at=None), name="pinned_or_archived"
            ),
        ]

    def __str__(self) -> str:
        return self.title or str(_("Conversation"))


class MessageRole(models.TextChoices):
    USER = "user", _("user")
    ASSISTANT = "assistant", _("employee")


class Status(models.TextChoices):
    """RUNNING is never on the wire; the others are the statuses of `done` (PROTOCOL.md)."""

    RUNNING = "running", _("being written")
    COMPLETE = "complete", _("complete")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")
    INTERRUPTED = "interrupted", _("interrupted")


class Message(TenantModel):
    """One message. A user's is complete from the start; an answer is RUNNING until its turn ends."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="children"
    )
    role = models.CharField(_("role"), max_length=10, choices=MessageRole.choices)
    text = models.TextField(_("text"), blank=True)
    status = models.CharField(_("status"), max_length=12, choices=Status.choices, default=Status.COMPLETE)
    error_code = models.CharField(_("error"), max_length=40, blank=True)
    client_id = models.UUIDField(null=True, blank=True, editable=False)
    agent = models.ForeignKey(
        Agent, verbose_name=_("employee"), on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    model = models.CharField(_("model"), max_length=200, blank=True)
    finish_reason = models.CharField(max_length=40, blank=True)
    prompt_tokens = models.PositiveIntegerField(_("tokens read"), null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(_("tokens written"), null=True, blank=True)
    usage_estimated = models.BooleanField(_("tokens are an estimate"), default=False)
    cost_usd = models.DecimalField(_("cost in USD"), max_digits=12, decimal_places=8, null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(_("first token after (ms)"), null=True, blank=True)
    duration_ms = models.PositiveIntegerField(_("took (ms)"), null=True, blank=True)
    feedback = models.CharField(
        _("feedback"), max_length=4, blank=True, choices=[("up", _("good")), ("down", _("bad"))]
    )
    feedback_comment = models.TextField(_("comment"), blank=True)
    # Of an answer: the memories that its prompt held, which may have been forgotten since; how long recalling
    # took; whether it came too late, or failed, so that the answer did without.
    memories = ArrayField(models.UUIDField(), default=list, blank=True, editable=False)
    recall_ms = models.PositiveIntegerField(null=True, blank=True, editable=False)
    recall_late = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(_("written"), default=timezone.now)
    # Of a running answer: when its process last gave a sign, and whether somebody elsewhere wants it stopped.
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    stop_requested = models.BooleanField(default=False, editable=False)

    class Meta(TenantModel.Meta):
        abstract = False
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering: ClassVar = ["created_at", "id"]
        indexes: ClassVar = [
            models.Index(fields=["conversation", "-created_at", "-id"], name="messages_newest_first"),
            models.Index(fields=["heartbeat_at"], condition=Q(status="running"), name="running_answers"),
        ]
        constraints: ClassVar = [
            # A message sent twice is stored once (PROTOCOL.md, `message`).
            models.UniqueConstraint(
                fields=["conversation", "client_id"],
                condition=Q(client_id__isnull=False),
                name="one_message_a_client_id",
            ),
            # One running turn a conversation (design decision 4).
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(status="running"), name="one_running_answer"
            ),
            models.CheckConstraint(
                condition=Q(role="assistant") | Q(status="complete"), name="only_answers_run"
            ),
            models.CheckConstraint(condition=~Q(id=F("parent")), name="no_message_answers_itself"),
        ]

    def __str__(self) -> str:
        return self.text[:60]


class SearchEntry(TenantModel):
    """What search finds: a message's words, or (without a `message`) those of a conversation's title.

    Written by triggers (migration `search_and_list_triggers`), once a message stands: an answer that grows is
    not indexed at each checkpoint, and no query of messages drags the words along. Rows go with the
    message or the conversation, by the database's own cascade. `words` has each word as it is written,
    its English and its Spanish stem, and a mark of whose it is and what it is of (chat.search), so that
    the one index finds a user's own among those of a whole workspace.
    """

    id = models.BigAutoField(primary_key=True)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    message = models.OneToOneField(
        Message, on_delete=models.DO_NOTHING, db_constraint=False, null=True, related_name="+"
    )
    user_id = models.UUIDField()
    said_at = models.DateTimeField()
    words = SearchVectorField()

    class Meta(TenantModel.Meta):
        abstract = False
        indexes: ClassVar = [
            # Two: the beginning of a word is looked up in all that the index has, and titles are few.
            GinIndex(fields=["words"], condition=Q(message__isnull=False), name="words_of_a_workspace"),
            GinIndex(fields=["words"], condition=Q(message=None), name="words_of_titles"),
            models.Index(
                fields=["user_id", "-said_at", "-message"],
                condition=Q(message__isnull=False),
                name="words_newest_first",
            ),
            models.Index(fields=["conversation", "said_at"], name="words_of_a_conversation"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["conversation"], condition=Q(message=None), name="one_entry_a_title"
            ),
        ]


class Share(TenantModel):
    """A link by which members of the workspace read a conversation: the branch that ended at `leaf` when
    it was shared. The id is the link's secret: random, and worth nothing outside the workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="shares")
    leaf = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    # The conversation's own, here so that a person's links are found without it.
    user_id = models.UUIDField(_("user"))
    created_at = models.DateTimeField(_("shared"), default=timezone.now)

    class Meta(TenantModel.Meta):
        abstract = False
        verbose_name = _("shared link")
        verbose_name_plural = _("shared links")
        ordering: ClassVar = ["-created_at", "-id"]
        indexes: ClassVar = [models.Index(fields=["user_id", "-created_at", "-id"], name="shares_of_a_user")]

    def __str__(self) -> str:
        # Not the id: whoever has it may read.
        return str(self._meta.verbose_name)


class Purpose(models.TextChoices):
    """What a model was called for, beside answering."""

    TITLE = "title", _("title")
    FACTS = "facts", _("facts to remember")
    SUMMARY = "summary", _("summary")


class ModelCall(TenantModel):
    """What a call of a model cost that was not an answer; an answer's own cost is in its Message.

    It stays when its conversation is deleted: the money is spent.
    """

    id = models.BigAutoField(primary_key=True)
    purpose = models.CharField(_("purpose"), max_length=10, choices=Purpose.choices)
    model = models.CharField(_("model"), max_length=200)
    prompt_tokens = models.PositiveIntegerField(_("tokens read"))
    completion_tokens = models.PositiveIntegerField(_("tokens written"))
    usage_estimated = models.BooleanField(_("tokens are an estimate"), default=False)
    cost_usd = models.DecimalField(_("cost in USD"), max_digits=12, decimal_places=8, null=True, blank=True)
    conversation_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(_("called"), default=timezone.now)

    class Meta(TenantModel.Meta):
        abstract = False
        verbose_name = _("call of a model")
        verbose_name_plural = _("calls of models")
        indexes: ClassVar = [models.Index(fields=["created_at"], name="model_calls_by_time")]

    def __str__(self) -> str:
        return f"{self.purpose} · {self.model}"
