"""What people change about themselves. Keyword-only, atomic."""

import logging
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from konstruct.tenancy import sessions
from konstruct.tenancy.models import Theme, User
from konstruct.tenancy.people import PeopleError

logger = logging.getLogger(__name__)

LANGUAGES = frozenset(code for code, _name in settings.LANGUAGES)


class WrongPassword(PeopleError):
    def __init__(self) -> None:
        super().__init__(_("This is not your present password."))


def set_profile(*, user_id: UUID, display_name: str, language: str, theme: str) -> User:
    """`language` is one of settings.LANGUAGES, or empty for the browser's. ValueError for any other."""
    if language and language not in LANGUAGES:
        raise ValueError(f"no such language: {language!r}")
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        user.display_name, user.language, user.theme = display_name.strip(), language, Theme(theme)
        user.save(update_fields=["display_name", "language", "theme"])
    return user


def change_password(*, user_id: UUID, present: str, wanted: str, kept_key: str | None) -> User:
    """Give the user the password `wanted` (validated already), and end all sessions but the one with
    the key `kept_key`, which has to be told (`update_session_auth_hash`). Raises WrongPassword."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user_id)
        if not user.check_password(present):
            raise WrongPassword
        user.set_password(wanted)
        user.save(update_fields=["password"])
        sessions.end_others(user_id=user_id, kept_key=kept_key)
    logger.info("User %s has a new password", user_id)
    return user
