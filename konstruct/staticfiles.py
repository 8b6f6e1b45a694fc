"""How static files are stored: hashed names, so that they may be cached for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Modules import each other by bare names through the page's import map, which holds the hashed
    names; so their sources need no rewriting. A file missing from the manifest (a first start, a
    test without collectstatic) is served under its plain name rather than failing the page."""

    manifest_strict = False
