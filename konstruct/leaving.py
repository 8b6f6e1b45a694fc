"""How a long-running process of ours ends, once all it owned is closed."""

import logging
import os
import sys


def leave(code: int = 0) -> None:
    """End the process now, with this exit code.

    Not by returning: the interpreter would take apart litellm's modules for a second or more, and there
    is nothing left in them to be saved.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
