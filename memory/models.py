"""What is remembered of people, and what a person has said about remembering.

Users, employees, conversations and messages are ids without foreign keys: users are in the shared schema,
and of the others this room knows nothing. Whoever deletes one of them says so (`memory.forgetting`).
"""

import uuid
from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from pgvector.django import HalfVectorField, HnswIndex

from konstruct.tenancy.isolation import TenantModel

# Also what text-embedding-3-*, Gemini's and Nomic's embeddings can be shortened to.
DIMENSIONS = 256

# The words of a memory in both languages' stems, and beside them one word that says whose it is: so the
# index alone finds "this word, with this user and employee", however many others use it (memory.recall).
# History has no such word and is never found.
WORDS = """
CASE WHEN superseded_at IS NULL THEN
    to_tsvector('english'::regconfig, text) || to_tsvector('spanish'::regconfig, text)
    || array_to_tsvector(ARRAY['@' || coalesce(user_id::text, '') || '@' || coalesce(agent_id::text, '')])
ELSE ''::tsvector END
"""


class Kind(models.TextChoices):
    EXCHANGE = "exchange", _("what was said")
    FACT = "fact", _("fact")
    NOTE = "note", _("note")


class Memory(TenantModel):
    """Something remembered. Of a user with one employee; without a `user_id`, the workspace's own: for
    everybody, through every employee that may see it.

    An EXCHANGE is a question and its answer; a FACT was distilled from one; a NOTE was written by hand.
    `message_id` is the user's message it comes from; all messages that say a fact are its `evidence`. A
    memory that another has taken the place of (`superseded_by`) is history: shown, never recalled.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    agent_id = models.UUIDField(_("employee"), null=True, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    text = models.TextField(_("text"), max_length=8000)
    # How sure the model was of a fact, 0 to 1.
    confidence = models.FloatField(_("confidence"), null=True, blank=True)
    conversation_id = models.UUIDField(null=True, blank=True, editable=False)
    message_id = models.UUIDField(null=True, blank=True, editable=False)
    # When it was said first, and last; how often.
    said_at = models.DateTimeField(_("said"), default=timezone.now)
    confirmed_at = models.DateTimeField(_("last said"), default=timezone.now)
    times_said = models.PositiveIntegerField(_("times said"), default=1)
    edited_at = models.DateTimeField(_("edited"), null=True, blank=True)
    superseded_by = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="earlier", editable=False
    )
    superseded_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Of an exchange: when facts were looked for in it.
    distilled_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("remembered"), auto_now_add=True)
    words = models.GeneratedField(
        expression=RawSQL(WORDS, ()), output_field=SearchVectorField(), db_persist=True, editable=False
    )

    class Meta(TenantModel.Meta):
        abstract = False
        verbose_name = _("memory")
        verbose_name_plural = _("memories")
        ordering: ClassVar = ["-said_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["user_id", "-said_at", "-id"], name="memories_of_a_user"),
            models.Index(fields=["user_id", "agent_id", "-said_at", "-id"], name="memories_with_an_employee"),
            models.Index(
                fields=["user_id", "agent_id"],
                condition=Q(kind="fact", superseded_at=None),
                name="facts_of_a_user",
            ),
            models.Index(fields=["conversation_id"], name="memories_of_a_conversation"),
            GinIndex(fields=["words"], name="words_of_memories", fastupdate=False),
        ]
        constraints: ClassVar = [
            # However often its job runs, an exchange is remembered once.
            models.UniqueConstraint(
                fields=["message_id"], condition=Q(kind="exchange"), name="one_exchange_a_message"
            ),
            models.CheckConstraint(
                condition=Q(user_id__isnull=False) | Q(kind="note"), name="only_notes_are_shared"
            ),
            models.CheckConstraint(
                condition=Q(superseded_by__isnull=True) ^ Q(superseded_at__isnull=False),
                name="history_has_a_date",
            ),
        ]

    def __str__(self) -> str:
        # Not the text: names get into logs and into the admin's history.
        return f"{self.get_kind_display()} {self.id}"


class SharedNote(Memory):
    """A note of the workspace's own, as the admin looks after it (memory.admin)."""

    class Meta(TenantModel.Meta):
        abstract = False
        proxy = True
        verbose_name = _("shared note")
        verbose_name_plural = _("shared notes")
        ordering: ClassVar = ["-said_at", "-id"]


class Evidence(TenantModel):
    """That a message says a fact. A fact without evidence is forgotten."""

    id = models.BigAutoField(primary_key=True)
    fact = models.ForeignKey(Memory, on_delete=models.CASCADE, related_name="evidence")
    message_id = models.UUIDField()
    conversation_id = models.UUIDField()
    said_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        abstract = False
        indexes: ClassVar = [
            models.Index(fields=["message_id"], name="evidence_of_a_message"),
            models.Index(fields=["conversation_id"], name="evidence_of_a_conversation"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["fact", "message_id"], name="one_evidence_a_message")
        ]


class MemoryVector(TenantModel):
    """A memory as a point in an embedder's space: of length 1, at half precision. While a workspace moves
    from one embedder to another, a memory has one for each; `MemoryPolicy.embedder` says which are
    searched. History has none.

    `user_id` and `agent_id` are the memory's, here so that a search need not join to find whose it is.
    """

    id = models.BigAutoField(primary_key=True)
    memory = models.ForeignKey(Memory, on_delete=models.CASCADE, related_name="vectors")
    user_id = models.UUIDField(null=True, blank=True)
    agent_id = models.UUIDField(null=True, blank=True)
    embedder = models.CharField(max_length=200)
    embedding = HalfVectorField(dimensions=DIMENSIONS)

    class Meta(TenantModel.Meta):
        abstract = False
        indexes: ClassVar = [
            models.Index(fields=["user_id", "agent_id"], name="vectors_of_a_user"),
            HnswIndex(name="nearest_memories", fields=["embedding"], opclasses=["halfvec_cosine_ops"]),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["memory", "embedder"], name="one_vector_an_embedder")
        ]


class Forgotten(TenantModel):
    """That something is to stay forgotten: a job that was under way writes nothing of it
    (`memory.forgetting`).

    One message; or all that was said up to `before` (and from `since` on, if set): by a user, or, without
    `user_id`, by everybody; to one employee, in one conversation, or, with neither, at all.
    """

    id = models.BigAutoField(primary_key=True)
    user_id = models.UUIDField(null=True, blank=True)
    agent_id = models.UUIDField(null=True, blank=True)
    conversation_id = models.UUIDField(null=True, blank=True)
    message_id = models.UUIDField(null=True, blank=True)
    since = models.DateTimeField(null=True, blank=True)
    before = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        abstract = False
        indexes: ClassVar = [models.Index(fields=["user_id", "message_id"], name="forgotten_of_a_user")]


class MemoryOff(TenantModel):
    """A user wants nothing remembered or recalled with this employee, or in this conversation."""

    id = models.BigAutoField(primary_key=True)
    user_id = models.UUIDField()
    agent_id = models.UUIDField(null=True, blank=True)
    conversation_id = models.UUIDField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        abstract = False
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user_id", "agent_id", "conversation_id"],
                nulls_distinct=False,
                name="memory_off_once",
            ),
            models.CheckConstraint(
                condition=Q(agent_id__isnull=True) ^ Q(conversation_id__isnull=True),
                name="memory_off_for_one_thing",
            ),
        ]


class MemoryPolicy(TenantModel):
    """The workspace's one row of rules; `memory.store.policy` gives it.

    `embedder`: whose vectors are searched and written. `managers_may_read`: whether owners and admins see
    the text of memories, and not only their number.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    embedder = models.CharField(_("embedding model"), max_length=200)
    managers_may_read = models.BooleanField(
        _("owners and admins may read memories"),
        default=False,
        help_text=_("Otherwise they see only how many there are."),
    )

    class Meta(TenantModel.Meta):
        abstract = False
        verbose_name = _("rules of memory")
        verbose_name_plural = _("rules of memory")
        constraints: ClassVar = [models.CheckConstraint(condition=Q(id=1), name="one_policy")]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class Summary(TenantModel):
    """What was said in a conversation up to and with the message `upto_id`, which the window no longer
    holds. It stands for the branches that lead through that message."""

    id = models.BigAutoField(primary_key=True)
    conversation_id = models.UUIDField()
    upto_id = models.UUIDField(unique=True)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        abstract = False
        indexes: ClassVar = [models.Index(fields=["conversation_id", "-id"], name="summaries_newest_first")]
