"""The form in which an employee is hired and changed."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminColorInputWidget, UnfoldAdminTextareaWidget

from agents.models import Agent


class LinesField(forms.CharField):
    """A list of short texts, edited as one text a line. Blank lines do not count."""

    widget = UnfoldAdminTextareaWidget

    def __init__(self, *, longest: int = 300, **kwargs: Any) -> None:
        self.longest = longest
        super().__init__(required=False, **kwargs)
        self.widget.attrs["rows"] = 4

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        lines = value if isinstance(value, list) else (value or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def validate(self, value: list[str]) -> None:
        for number, line in enumerate(value, 1):
            if len(line) > self.longest:
                raise ValidationError(
                    _("Entry %(number)d has %(length)d characters; at most %(longest)d are allowed.")
                    % {"number": number, "length": len(line), "longest": self.longest}
                )

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.to_python(initial) != self.to_python(data)


class AgentForm(forms.ModelForm):
    starters = LinesField(
        label=gettext_lazy("Conversation starters"),
        help_text=gettext_lazy("One a line. Offered as buttons when a conversation begins."),
    )
    fallback_models = LinesField(
        label=gettext_lazy("Fallback models"),
        longest=200,
        help_text=gettext_lazy("One model name a line, tried in this order where the model cannot answer."),
    )

    class Meta:
        model = Agent
        fields = "__all__"
        widgets: ClassVar = {
            "color": UnfoldAdminColorInputWidget,
            "persona": UnfoldAdminTextareaWidget(attrs={"rows": 4}),
            "system_prompt": UnfoldAdminTextareaWidget(attrs={"rows": 10}),
            "greeting": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        }
        help_texts: ClassVar = {
            "is_active": gettext_lazy("Retired employees keep their conversations but begin no new ones."),
            "greeting": gettext_lazy("Shown where a conversation is still empty; no part of the prompt."),
            "temperature": gettext_lazy(
                "0 (always alike) to 2 (surprising); blank: the provider's own default."
            ),
            "max_tokens": gettext_lazy("A token is about four letters; blank: the provider's own limit."),
        }

    def clean_model(self) -> str:
        return _model_name(self.cleaned_data["model"])

    def clean_fallback_models(self) -> list[str]:
        return [_model_name(name) for name in self.cleaned_data["fallback_models"]]


def _model_name(name: str) -> str:
    name = name.strip()
    if any(character.isspace() for character in name):
        raise ValidationError(_("“%(name)s” cannot be a model's name: it has spaces.") % {"name": name})
    return name
