"""What is answered where no view could: a page for a person, JSON under /api/."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404, "not_found", _("There is nothing here, or it is not yours to see."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    # Only a sentence that one of our views gave; Django's own may quote the request.
    return _answer(request, 403, "forbidden", str(exception) or _("You may not see this."))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 400, "bad_input", _("This request cannot be understood."))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    sentence = _("This page was open for too long. Go back, reload it, and try again.")
    return _answer(request, 403, "forbidden", sentence)


def server_error(request: HttpRequest) -> HttpResponse:
    """Without the request's context: what broke may be the session, the database or the workspace."""
    sentence = _("Something went wrong on our side. Please try again.")
    if request.path.startswith("/api/"):
        return _json(500, "internal", sentence)
    return HttpResponse(render_to_string("error.html", {"status": 500, "sentence": sentence}), status=500)


def _answer(request: HttpRequest, status: int, code: str, sentence: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return _json(status, code, sentence)
    context: dict[str, Any] = {"status": status, "sentence": sentence}
    return render(request, "error.html", context, status=status)


def _json(status: int, code: str, sentence: str) -> HttpResponse:
    return JsonResponse({"error": {"code": code, "message": sentence}}, status=status)
