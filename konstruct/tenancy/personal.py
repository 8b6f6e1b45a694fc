"""Each request as its person wants it: in the language chosen. And the visit is noted."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import translation

from konstruct.tenancy.models import Membership
from konstruct.tenancy.sessions import note_visit


class PersonalMiddleware:
    """Below WorkspaceMiddleware. Before anybody has signed in, LocaleMiddleware's choice stays: the
    browser's."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated:
            if user.language:
                speak(request, user.language)
            if key := request.session.session_key:
                membership: Membership | None = request.membership  # type: ignore[attr-defined]
                note_visit(
                    user=user,
                    session_key=key,
                    workspace_id=membership.workspace_id if membership else None,
                    user_agent=request.headers.get("User-Agent", ""),
                )
        return self.get_response(request)


def speak(request: HttpRequest, language: str) -> None:
    """The rest of this request in the language; empty: in the browser's."""
    language = language or translation.get_language_from_request(request)
    translation.activate(language)
    request.LANGUAGE_CODE = translation.get_language()
