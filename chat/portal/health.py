"""`/healthz`: this process is up. `/readyz`: it can serve; each thing it needs, named.

Answered before any other middleware, so without host check, session, workspace or sign-in: a load
balancer asks by address, and must get an answer when the database gives none. What is told is
public, so it holds no address, key or provider's text.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import psycopg
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from msgspec import Struct, structs

from konstruct.tenancy.access import connection_parameters

DEADLINE = 2.0
# A result serves this long, so that asking often does not mean asking the provider often.
LIFETIME = 5.0


class Check(Struct, frozen=True):
    ok: bool
    message: str


def check_database() -> Check:
    """A connection of its own: the pool's may all be busy, which is no failure of the database."""
    parameters = {**connection_parameters(), "connect_timeout": 2, "options": "-c statement_timeout=2000"}
    try:
        with psycopg.connect(**parameters) as asked:
            asked.execute("SELECT 1")
    except psycopg.Error:
        return Check(False, "The database cannot be reached.")
    return Check(True, "The database answers.")


def check_layer() -> Check:
    if not settings.REDIS_URL:
        return Check(True, "One process: the channel layer is inside it.")
    import redis  # not at the start of every command of manage.py

    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=DEADLINE, socket_connect_timeout=DEADLINE
        ) as asked:
            asked.ping()
    except redis.RedisError:
        return Check(False, "Redis, the channel layer, cannot be reached.")
    return Check(True, "Redis, the channel layer, answers.")


def check_model() -> Check:
    """Whether the default model's server answers; a hosted provider is not asked."""
    if not settings.KONSTRUCT_API_BASE:
        return Check(True, "The model is hosted: not checked.")
    import httpx  # not at the start of every command of manage.py

    headers = {"Authorization": f"Bearer {settings.KONSTRUCT_API_KEY}"} if settings.KONSTRUCT_API_KEY else {}
    url = settings.KONSTRUCT_API_BASE.rstrip("/") + "/models"
    try:
        # Only the status is waited for: the list of models may be long.
        with httpx.stream("GET", url, headers=headers, timeout=DEADLINE) as response:
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return Check(False, "The language model's server cannot be reached.")
    if status in (401, 403):
        return Check(False, "The language model's server refuses the key.")
    if status >= 500:
        return Check(False, f"The language model's server fails (HTTP {status}).")
    return Check(True, "The language model's server answers.")


CHECKS: dict[str, Callable[[], Check]] = {
    "database": check_database,
    "layer": check_layer,
    "model": check_model,
}


class Readiness:
    """The checks' results, found side by side within the deadline, by one asker at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._results: dict[str, Check] = {}
        self._until = 0.0

    def results(self) -> dict[str, Check]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._results = self._find()
                self._until = time.monotonic() + LIFETIME
            return self._results

    def _find(self) -> dict[str, Check]:
        pool = ThreadPoolExecutor(len(CHECKS), thread_name_prefix="readyz")
        try:
            asked = {name: pool.submit(check) for name, check in CHECKS.items()}
            wait(asked.values(), timeout=DEADLINE + 0.5)
            late = Check(False, f"No answer within {DEADLINE:g} s.")
            return {name: future.result() if future.done() else late for name, future in asked.items()}
        finally:
            # A check that hangs past its deadline (name resolution can) is not waited for.
            pool.shutdown(wait=False, cancel_futures=True)


readiness = Readiness()


def healthz() -> HttpResponse:
    return JsonResponse({"ok": True})


def readyz() -> HttpResponse:
    results = readiness.results()
    ok = all(check.ok for check in results.values())
    body = {"ok": ok, **{name: structs.asdict(check) for name, check in results.items()}}
    return JsonResponse(body, status=200 if ok else 503)


PATHS = {"/healthz": healthz, "/readyz": readyz}


class HealthMiddleware:
    """First of all middleware; see the module's text."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = PATHS.get(request.path_info) if request.method in ("GET", "HEAD") else None
        if answer is None:
            return self.get_response(request)
        response = answer()
        response["Cache-Control"] = "no-store"
        return response
