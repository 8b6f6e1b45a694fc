"""What the fake upstream's embedding models do, found by name as `tests.upstream_models` does it.

`text-embedding-3-small` shortens its 1,536 dimensions to the number asked for, `embed-<dimensions>` does not.
Both turn a text's words into a vector, the same each time, nearer for texts that share words. Further:
`embed-zeros`, `embed-missing` (a vector too few), `status-<code>`, `hang-first`.
"""

import asyncio
import hashlib
import math
import re
from typing import Any

from aiohttp import web

from tests.upstream_models import FOREVER, HttpFailure


def points(text: str, dimensions: int) -> list[float]:
    """A bag of words: each word adds to one coordinate, so that equal words make texts alike."""
    vector = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()):
        digest = hashlib.sha256(word.encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % min(dimensions, 64)] += 1.0
    vector[0] += 0.1
    length = math.hypot(*vector)
    return [each / length for each in vector]


async def embeddings(body: dict[str, Any]) -> web.Response:
    """The JSON of POST /v1/embeddings."""
    name = str(body.get("model", "")).removeprefix("openai/")
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    if name == "hang-first":
        await asyncio.sleep(FOREVER)
    if match := re.fullmatch(r"status-(\d{3})", name):
        raise HttpFailure(int(match[1]), "upstream says no to key sk-SECRET-0123456789")
    if name == "text-embedding-3-small":
        kind, size = "", int(body.get("dimensions", 1536))
    elif match := re.fullmatch(r"embed-(\d+|zeros|missing)", name):
        kind, size = match[1], int(match[1]) if match[1].isdigit() else 256
    else:
        raise HttpFailure(404, f"The model `{name}` does not exist", code="model_not_found")
    vectors = [[0.0] * size if kind == "zeros" else points(text, size) for text in texts]
    if kind == "missing":
        vectors.pop()
    data = [
        {"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": sum(len(text.split()) for text in texts), "total_tokens": 0}
    # Out of order, as the API allows.
    return web.json_response({"object": "list", "data": data[::-1], "model": name, "usage": usage})
