"""The environment of the test run, set before Django reads its settings (pytest.ini loads this first).

Everything is real: an embedded PostgreSQL of the run's own in a temporary data folder (or the server
of DATABASE_URL, if one is given), the settings of a fresh install otherwise. A developer's own data
folder is never touched.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

_inherited = {name for name in os.environ if name.startswith("KONSTRUCT_")} | {"REDIS_URL", "PORT", "HOST"}
for _name in _inherited:
    os.environ.pop(_name, None)

HOME = Path(tempfile.mkdtemp(prefix="konstruct-tests-"))
os.environ.update(
    KONSTRUCT_HOME=str(HOME),
    KONSTRUCT_SECRET_KEY="only-for-tests-" + "x" * 40,
    LITELLM_LOCAL_MODEL_COST_MAP="True",
)
(HOME / "static").mkdir()
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def _start() -> None:
    from konstruct.embedded.paths import Home

    atexit.register(shutil.rmtree, HOME, ignore_errors=True)
    if os.environ.get("DATABASE_URL"):
        return
    from konstruct.embedded.postgres import EmbeddedPostgres

    server = EmbeddedPostgres(Home(HOME), durable=False)
    server.start()
    atexit.register(server.stop)


_start()
