from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Conversations")

    def ready(self) -> None:
        from agents.models import Agent
        from chat.memories import employee_deleted
        from chat.models import Conversation

        post_delete.connect(employee_deleted, sender=Agent, dispatch_uid="memories of employees")
        post_delete.connect(_drop_summaries, sender=Conversation, dispatch_uid="summaries of conversations")


def _drop_summaries(instance: Any, **_: Any) -> None:
    """Whoever deletes a conversation for good (a purge, the admin) deletes what stood for its parts."""
    from memory import summaries

    summaries.drop(conversation_id=instance.pk)
