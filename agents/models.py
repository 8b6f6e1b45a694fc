"""The employees of a workspace."""

import uuid
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from konstruct.tenancy.isolation import TenantModel


def list_of_sentences(value: object) -> None:
    """Validator: a JSON list of non-empty strings of at most 300 characters."""
    if not isinstance(value, list) or not all(
        isinstance(v, str) and 0 < len(v.strip()) <= 300 for v in value
    ):
        raise ValidationError(_("A list of sentences, each of at most 300 characters."))


class Agent(TenantModel):
    """An AI employee: who it is, how it speaks, which model answers for it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=80)
    title = models.CharField(
        _("title"), max_length=120, blank=True, help_text=_("What it does, in a few words.")
    )
    color = models.CharField(
        _("avatar colour"),
        max_length=7,
        default="#4f46e5",
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}\Z", _("A colour like #4f46e5."))],
    )
    persona = models.TextField(
        _("persona"), blank=True, max_length=8000, help_text=_("Character and manner.")
    )
    system_prompt = models.TextField(
        _("system prompt"), blank=True, max_length=32000, help_text=_("What it knows and how it is to work.")
    )
    greeting = models.TextField(_("greeting"), blank=True, max_length=2000)
    starters = models.JSONField(
        _("conversation starters"), default=list, blank=True, validators=[list_of_sentences]
    )
    model = models.CharField(
        _("model"), max_length=200, blank=True, help_text=_("A litellm model name; blank: the default.")
    )
    fallback_models = models.JSONField(
        _("fallback models"),
        default=list,
        blank=True,
        validators=[list_of_sentences],
        help_text=_("Tried in this order where the model cannot answer."),
    )
    temperature = models.FloatField(
        _("temperature"), null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(2)]
    )
    max_tokens = models.PositiveIntegerField(
        _("longest answer in tokens"), null=True, blank=True, validators=[MinValueValidator(1)]
    )
    sees_shared = models.BooleanField(
        _("may use the workspace's shared notes"),
        default=True,
        help_text=_("What owners and admins have written down for all employees."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    position = models.PositiveSmallIntegerField(
        _("position"),
        default=0,
        help_text=_("Employees with smaller numbers come first; the first is the default."),
    )
    created_at = models.DateTimeField(_("hired"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta(TenantModel.Meta):
        abstract = False
        verbose_name = _("employee")
        verbose_name_plural = _("employees")
        ordering: ClassVar = ["position", "created_at", "id"]

    def __str__(self) -> str:
        return self.name
