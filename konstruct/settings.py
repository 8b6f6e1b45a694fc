"""Django's settings, all of them, read once from the environment block below.

`env` is the only reader of the process environment; every other module takes its values
from Django's settings. The block is importable without Django (`bin/run` does so).
"""

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from csp.constants import NONCE, NONE, SELF
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from konstruct.embedded.paths import Home

BASE_DIR = Path(__file__).resolve().parent.parent
# What is started unasked; each takes some 300 MiB and up to 33 connections to the database.
MOST_PROCESSES = 4


class Environment(BaseSettings):
    """What the operator may set; names and meaning in PROTOCOL.md, "Running it", and README.md.

    Times are seconds; a limit of 0 means none.
    """

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, case_sensitive=True)

    PORT: Annotated[int, Field(ge=1, le=65535)] = 8000
    HOST: str = "127.0.0.1"
    KONSTRUCT_HOME: Path = BASE_DIR / ".konstruct"
    DATABASE_URL: str = ""
    REDIS_URL: str = ""

    KONSTRUCT_MODEL: str = ""
    KONSTRUCT_API_BASE: str = ""
    KONSTRUCT_API_KEY: str = ""
    # Who distils facts and summarises: a model for all employees, in place of each one's own.
    KONSTRUCT_MEMORY_MODEL: str = ""
    # How memories are embedded (memory.embedder). The threshold is a cosine, -1 to 1.
    KONSTRUCT_EMBEDDING_MODEL: str = ""
    KONSTRUCT_EMBEDDING_API_BASE: str = ""
    KONSTRUCT_EMBEDDING_API_KEY: str = ""
    KONSTRUCT_EMBEDDING_THRESHOLD: Annotated[float | None, Field(ge=-1, le=1)] = None
    # Where the embedded model listens: bin/run tells its children, nobody sets it by hand.
    KONSTRUCT_LOCAL_MODEL_URL: str = ""

    KONSTRUCT_SECRET_KEY: str = ""
    KONSTRUCT_ALLOWED_HOSTS: Annotated[list[str], NoDecode] = []
    KONSTRUCT_HTTPS: bool = False
    KONSTRUCT_DEBUG: bool = False

    KONSTRUCT_MESSAGES_PER_MINUTE: Annotated[int, Field(ge=0)] = 100
    KONSTRUCT_CONNECTIONS_PER_USER: Annotated[int, Field(ge=0)] = 20
    KONSTRUCT_FIRST_TOKEN_TIMEOUT: Annotated[float, Field(gt=0)] = 60
    KONSTRUCT_IDLE_TIMEOUT: Annotated[float, Field(gt=0)] = 30
    KONSTRUCT_TURN_TIMEOUT: Annotated[float, Field(gt=0)] = 180
    KONSTRUCT_DATABASE_THREADS: Annotated[int, Field(ge=1, le=64)] = 8
    # 0: as many as there are cores, up to MOST_PROCESSES.
    KONSTRUCT_PROCESSES: Annotated[int, Field(ge=0, le=64)] = 1

    def __init__(self, **values: Any) -> None:
        hosts = os.environ.get("KONSTRUCT_ALLOWED_HOSTS", "")
        values.setdefault("KONSTRUCT_ALLOWED_HOSTS", [h.strip() for h in hosts.split(",") if h.strip()])
        super().__init__(**values)

    @property
    def home(self) -> Home:
        """The data folder with its fixed places."""
        return Home(self.KONSTRUCT_HOME.expanduser().absolute())

    @property
    def uses_embedded_postgres(self) -> bool:
        return not self.DATABASE_URL

    @property
    def uses_embedded_model(self) -> bool:
        return not self.KONSTRUCT_MODEL

    @property
    def processes(self) -> int:
        """How many server processes share the address."""
        if self.KONSTRUCT_PROCESSES:
            return self.KONSTRUCT_PROCESSES
        return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, MOST_PROCESSES)

    def database(self) -> dict[str, Any]:
        """Django's connection parameters: those of DATABASE_URL, or the embedded server's socket."""
        if self.uses_embedded_postgres:
            return {
                "HOST": str(self.home.socket_dir),
                "PORT": "5432",
                "USER": "postgres",
                "NAME": "konstruct",
            }
        url = urlsplit(self.DATABASE_URL)
        if url.scheme not in ("postgres", "postgresql") or not url.path.strip("/"):
            raise SystemExit("DATABASE_URL must look like postgresql://user:password@host:5432/name.")
        return {
            "HOST": unquote(url.hostname or ""),
            "PORT": str(url.port or 5432),
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "NAME": unquote(url.path.strip("/")),
        }


def read_environment() -> Environment:
    """The environment, checked. Ends the process with one sentence a setting where it is wrong."""
    try:
        return Environment()
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        sys.exit("Konstruct cannot start: these settings are wrong.\n  " + "\n  ".join(lines))


env = read_environment()


def secret_key() -> str:
    """KONSTRUCT_SECRET_KEY, or a key made on the first start and kept in the data folder (mode 0600).

    With an external database the key must be given: several machines have to agree on it.
    """
    if env.KONSTRUCT_SECRET_KEY:
        return env.KONSTRUCT_SECRET_KEY
    path = env.home.secret_key
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written aside and linked into place: of two processes that start at once, one wins whole.
            draft = path.with_name(f"{path.name}.{os.getpid()}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(50))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass  # the other process's key is as good
            finally:
                draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        sys.exit(
            f"Konstruct cannot use its data folder {env.home.path} ({error.strerror}): set KONSTRUCT_HOME."
        )


# --- Django ------------------------------------------------------------------------------------

DEBUG = env.KONSTRUCT_DEBUG
SECRET_KEY = secret_key()
ALLOWED_HOSTS = env.KONSTRUCT_ALLOWED_HOSTS or ["localhost", ".localhost", "127.0.0.1", "[::1]"]
HOST, PORT = env.HOST, env.PORT
ROOT_URLCONF = "konstruct.urls"
ASGI_APPLICATION = "konstruct.asgi.application"
TEST_RUNNER = "konstruct.testing.PytestRunner"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Shared by all workspaces, in the schema `public`.
SHARED_APPS = [
    "django_tenants",
    "konstruct.tenancy",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "channels",
    "csp",
    "ninja",
    "procrastinate.contrib.django",
]
# One copy in each workspace's schema. The admin's log names the rows it is about, so it is
# tenant data too: with the table in both places, each entry lands in the schema it is made in.
TENANT_APPS = ["django.contrib.admin", "agents", "memory", "chat"]
INSTALLED_APPS = [*SHARED_APPS, *(app for app in TENANT_APPS if app not in SHARED_APPS)]

TENANT_MODEL = "tenancy.Workspace"
TENANT_DOMAIN_MODEL = "tenancy.Domain"
AUTH_USER_MODEL = "tenancy.User"
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
TENANT_LIMIT_SET_CALLS = True
# A deleted workspace takes its schema along; see Workspace.delete.
TENANT_CREATION_FAKES_MIGRATIONS = False

MIDDLEWARE = [
    "chat.portal.health.HealthMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "konstruct.tenancy.cookies.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "konstruct.tenancy.http.WorkspaceMiddleware",
    "konstruct.tenancy.personal.PersonalMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]

# --- Database ----------------------------------------------------------------------------------

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django_tenants.postgresql_backend",
        **env.database(),
        # HTTP requests borrow from the pool (each runs in a thread of its own under ASGI); the
        # threads of the tenancy door keep theirs. With a pool Django wants CONN_MAX_AGE = 0.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "application_name": "konstruct",
            "pool": {"min_size": 1, "max_size": env.KONSTRUCT_DATABASE_THREADS + 16, "timeout": 10},
        },
    }
}
DATABASE_THREADS = env.KONSTRUCT_DATABASE_THREADS

# --- Sign-in, sessions, security ---------------------------------------------------------------

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/sign-in/"
SESSION_COOKIE_AGE = 14 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.KONSTRUCT_HTTPS
if env.KONSTRUCT_HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31536000
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "chat.portal.errors.csrf_failure"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        # The import map has to be inline: it alone carries the nonce (templates/base.html).
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
# Counts the attempts to sign in (konstruct.tenancy.throttle); large, so that it cannot be flushed cheaply.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 50_000},
    }
}

# --- Languages, static files, logs -------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = env.home.static
MEDIA_ROOT = env.home.media
STATICFILES_DIRS = [("konstruct", BASE_DIR / "frontend")]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "konstruct.staticfiles.VendorFinder",
]
NODE_MODULES = BASE_DIR / "node_modules"
VENDOR_FILES = {
    "marked/marked.esm.js": "marked/lib/marked.esm.js",
    # Named in the module, so it has to be there.
    "marked/marked.esm.js.map": "marked/lib/marked.esm.js.map",
    "dompurify/purify.es.mjs": "dompurify/dist/purify.es.mjs",
    "highlight/highlight.min.js": "@highlightjs/cdn-assets/es/highlight.min.js",
    # The one that is not a module: half as large as its module, which is not minified.
    "katex/katex.min.js": "katex/dist/katex.min.js",
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "konstruct.staticfiles.Storage"},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Their INFO lines carry bodies, headers or one line a frame.
        "LiteLLM": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "procrastinate": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
    },
}

# --- Admin -------------------------------------------------------------------------------------

# Only how it looks; who may see what is decided in konstruct.tenancy.admin_site.
UNFOLD = {
    "SITE_TITLE": "Konstruct",
    "SITE_HEADER": "Konstruct",
    "SITE_SUBHEADER": "konstruct.tenancy.admin_navigation.subheader",
    "SITE_SYMBOL": "forum",
    "SITE_URL": "/",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": "konstruct.tenancy.admin_navigation.icon"}
    ],
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "konstruct.tenancy.admin_navigation.place",
    "SIDEBAR": {"navigation": "konstruct.tenancy.admin_navigation.sidebar"},
    # Indigo, as the portal; unfold's own is a purple.
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.314)",
            "100": "oklch(93% .034 272.788)",
            "200": "oklch(87% .065 274.039)",
            "300": "oklch(78.5% .115 274.713)",
            "400": "oklch(67.3% .182 276.935)",
            "500": "oklch(58.5% .233 277.117)",
            "600": "oklch(51.1% .262 276.966)",
            "700": "oklch(45.7% .24 277.023)",
            "800": "oklch(39.8% .195 277.366)",
            "900": "oklch(35.9% .144 278.697)",
            "950": "oklch(25.7% .09 281.288)",
        },
    },
}

# --- Channels, jobs ----------------------------------------------------------------------------

REDIS_URL = env.REDIS_URL
CHANNEL_LAYERS = {
    "default": (
        {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [env.REDIS_URL]}}
        if env.REDIS_URL
        else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    )
}
PROCRASTINATE_IMPORT_PATHS = ["chat.jobs"]

# --- The model and the limits of a conversation ------------------------------------------------

LOCAL_MODEL_NAME = "openai/smollm2-135m-instruct"
KONSTRUCT_MODEL = env.KONSTRUCT_MODEL or LOCAL_MODEL_NAME
KONSTRUCT_API_BASE = env.KONSTRUCT_API_BASE if env.KONSTRUCT_MODEL else env.KONSTRUCT_LOCAL_MODEL_URL
KONSTRUCT_API_KEY = env.KONSTRUCT_API_KEY
KONSTRUCT_MEMORY_MODEL = env.KONSTRUCT_MEMORY_MODEL
KONSTRUCT_EMBEDDING_MODEL = env.KONSTRUCT_EMBEDDING_MODEL
KONSTRUCT_EMBEDDING_API_BASE = env.KONSTRUCT_EMBEDDING_API_BASE
KONSTRUCT_EMBEDDING_API_KEY = env.KONSTRUCT_EMBEDDING_API_KEY
KONSTRUCT_EMBEDDING_THRESHOLD = env.KONSTRUCT_EMBEDDING_THRESHOLD
MESSAGES_PER_MINUTE = env.KONSTRUCT_MESSAGES_PER_MINUTE
CONNECTIONS_PER_USER = env.KONSTRUCT_CONNECTIONS_PER_USER
FIRST_TOKEN_TIMEOUT = env.KONSTRUCT_FIRST_TOKEN_TIMEOUT
IDLE_TIMEOUT = env.KONSTRUCT_IDLE_TIMEOUT
TURN_TIMEOUT = env.KONSTRUCT_TURN_TIMEOUT
