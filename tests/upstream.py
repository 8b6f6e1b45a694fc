"""A fake OpenAI-compatible server, a real one over HTTP, whose model names say how it behaves.

In a test:   `with Upstream() as upstream: ... upstream.url ...` (a thread with its own event loop).
On its own:  `python -m tests.upstream --port 0` prints `{"url": "http://127.0.0.1:PORT/v1"}` and serves.

POST /v1/chat/completions, streamed or not; POST /v1/embeddings; GET /v1/models lists the names of the first.
Every request is recorded: GET /requests, DELETE /requests (which also resets `flaky-...`). The behaviours
are in `tests.upstream_models` and `tests.upstream_embeddings`.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections import deque
from typing import Any, Self

from aiohttp import web

from tests import upstream_embeddings
from tests.upstream_models import Answer, HttpFailure, HungUp, find, names

# Enough for any test; a benchmark must not fill the memory with its prompts.
KEPT_REQUESTS = 2000


class Recorder:
    """What was asked and how it ended. Times are `time.monotonic()`, one clock for all processes."""

    def __init__(self) -> None:
        self._requests: deque[dict[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self._ids = itertools.count(1)

    def open(self, request: web.Request, body: dict[str, Any]) -> dict[str, Any]:
        record = {
            "id": next(self._ids),
            "model": body.get("model"),
            "messages": body.get("messages"),
            "params": {key: value for key, value in body.items() if key not in ("model", "messages")},
            # Only whether there was a credential, and which placeholder: never a secret.
            "authorization": "Bearer none"
            if request.headers.get("Authorization") == "Bearer none"
            else "***",
            "headers": {
                k: v
                for k, v in request.headers.items()
                if k.lower() not in ("authorization", "cookie", "api-key")
            },
            "started_at": time.monotonic(),
            "first_token_at": None,
            "ended_at": None,
            # None while it runs; True if the client went away before the answer was whole.
            "closed_early": None,
        }
        self._requests.append(record)
        return record

    def all(self) -> list[dict[str, Any]]:
        return [dict(record) for record in list(self._requests)]

    def clear(self) -> None:
        self._requests.clear()


RECORDER = web.AppKey("recorder", Recorder)
FAILURES_LEFT = web.AppKey("failures_left", dict[str, int])


def application() -> web.Application:
    """The server's routes, with a recorder of their own."""
    recorder = Recorder()
    failures_left: dict[str, int] = {}

    async def completions(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        record = recorder.open(request, body)
        answer = Answer(request, body, record, failures_left)
        try:
            await find(answer.model)(answer)
            response = await answer.end()
            record["closed_early"] = False
            return response
        except HttpFailure as failure:
            record["closed_early"] = False
            return failure.response
        except HungUp:
            record["closed_early"] = False
            return answer.response
        except (asyncio.CancelledError, ConnectionResetError):
            record["closed_early"] = True
            raise
        finally:
            record["ended_at"] = time.monotonic()

    async def embeddings(request: web.Request) -> web.Response:
        body = await request.json()
        record = recorder.open(request, body)
        try:
            return await upstream_embeddings.embeddings(body)
        except HttpFailure as failure:
            return failure.response
        finally:
            record["ended_at"] = time.monotonic()

    async def models(_: web.Request) -> web.Response:
        data = [{"id": name, "object": "model", "owned_by": "tests"} for name in names()]
        return web.json_response({"object": "list", "data": data})

    async def requests(_: web.Request) -> web.Response:
        return web.json_response(recorder.all())

    async def reset(_: web.Request) -> web.Response:
        recorder.clear()
        failures_left.clear()
        return web.Response(status=204)

    app = web.Application(client_max_size=16 * 2**20)
    app.add_routes(
        [
            web.post("/v1/chat/completions", completions),
            web.post("/v1/embeddings", embeddings),
            web.get("/v1/models", models),
            web.get("/requests", requests),
            web.delete("/requests", reset),
        ]
    )
    app[RECORDER] = recorder
    app[FAILURES_LEFT] = failures_left
    return app


async def serve(app: web.Application, port: int) -> tuple[web.AppRunner, str]:
    """Start on 127.0.0.1; returns the runner to clean up and the URL that is an `api_base`."""
    # handler_cancellation: a handler that waits learns at once that its client has gone.
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=2048)
    await site.start()
    host, bound = runner.addresses[0][:2]
    return runner, f"http://{host}:{bound}/v1"


class Upstream:
    """The server in a thread of this process. `url` is the `api_base` to give."""

    def __init__(self) -> None:
        self.url = ""
        self._app = application()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._run(),), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("The fake upstream did not start.")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self._loop.close()

    async def _run(self) -> None:
        runner, self.url = await serve(self._app, 0)
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()

    def requests(self) -> list[dict[str, Any]]:
        """All recorded requests, oldest first."""
        return self._app[RECORDER].all()

    def reset(self) -> None:
        """Forget the requests and what `flaky-...` has counted."""
        self._app[RECORDER].clear()
        self._app[FAILURES_LEFT].clear()


async def _main(port: int) -> None:
    runner, url = await serve(application(), port)
    print(json.dumps({"url": url}), flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().port))
