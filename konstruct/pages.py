"""Django's HTTP side under ASGI, with each request in one thread from its first middleware to its view.

django-tenants keeps the chosen workspace on the thread's connection. Django's own ASGI handler goes back to
the event loop between the middlewares and the view, and trusts asgiref to find the same thread again; once
in hundreds of requests it found another one, and the view had no workspace. (It raised, as it must.) Here
nothing is asynchronous in between, so there is no thread to be lost.
"""

from typing import Any

import django
from asgiref.sync import sync_to_async  # noqa: TID251  the one hop from the loop to a request's thread
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.db import close_old_connections
from django.http.response import HttpResponseBase


class Pages(ASGIHandler):
    """`Pages()` is an ASGI application for HTTP. All middlewares and views run synchronously."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: Any) -> HttpResponseBase:
        return await sync_to_async(self._respond, thread_sensitive=True)(request)

    def _respond(self, request: ASGIRequest) -> HttpResponseBase:
        try:
            return self.get_response(request)
        finally:
            # The thread goes with the request: its connection is back in the pool before that.
            close_old_connections()


def get_pages() -> Pages:
    """The application, with Django set up."""
    django.setup(set_prefix=False)
    return Pages()
