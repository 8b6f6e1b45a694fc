"""The session's cookie, taken back only by the request that ended the session."""

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest, HttpResponse


class SessionMiddleware(DjangoSessionMiddleware):
    """As Django's, but a cookie whose session is gone is left alone.

    Django deletes it in the answer. While one tab sets a new password, and is given the session's new key,
    another one may still ask with the old key: that answer would delete the new cookie.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        answer: HttpResponse = super().process_response(request, response)
        cookie = answer.cookies.get(settings.SESSION_COOKIE_NAME)
        # Ending a session empties it, which counts as a change.
        if cookie is not None and not cookie.value and not request.session.modified:
            del answer.cookies[settings.SESSION_COOKIE_NAME]
        return answer
