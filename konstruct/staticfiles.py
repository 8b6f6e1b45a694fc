"""How static files are stored: under hashed names, so that they may be cached for ever."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    """Modules import each other by bare names through the page's import map, which holds the hashed
    names; so their sources need no rewriting.

    Where nothing was collected yet (tests, a shell before the first start) names stay as they are. Once
    there is a manifest, a file it does not know is an error.
    """

    def stored_name(self, name: str) -> str:
        return super().stored_name(name) if self.hashed_files else name
