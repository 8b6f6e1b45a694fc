"""Static files: where the browser libraries are found, and how all are stored, to be cached for ever."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class VendorFinder(BaseFinder):
    """The files of npm packages that pages use, each by name: `settings.VENDOR_FILES`, path below `vendor/`
    to path below node_modules. A whole package would be hundreds of files to hash and compress.

    Where the packages are not installed (a test of the server alone) there is nothing to be found.
    """

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        self.files = {f"vendor/{name}": Path(source) for name, source in settings.VENDOR_FILES.items()}
        self.root: Path = settings.NODE_MODULES
        super().__init__(*args, **kwargs)

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        source = self.root / self.files[path] if path in self.files else None
        found = [str(source)] if source is not None and source.is_file() else []
        return found if find_all else next(iter(found), [])

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, FileSystemStorage]]:
        """(name in its folder, storage of that folder) for each; its prefix goes before the name."""
        for name, source in self.files.items():
            if matches_patterns(name, ignore_patterns or []) or not (self.root / source).is_file():
                continue
            storage = FileSystemStorage(location=self.root / source.parent)
            storage.prefix = str(Path(name).parent)  # type: ignore[attr-defined]
            yield source.name, storage


class Storage(CompressedManifestStaticFilesStorage):
    """Modules import each other by bare names through the page's import map, which holds the hashed
    names; so their sources need no rewriting.

    Where nothing was collected yet (tests, a shell before the first start) names stay as they are. Once
    there is a manifest, a file it does not know is an error.
    """

    def stored_name(self, name: str) -> str:
        return super().stored_name(name) if self.hashed_files else name
