"""What was made once and is kept for the user beyond the results: compiled packages, facts on source files.

The invariant: what is found is, byte for byte, what was kept under that key; a damaged entry counts as
none. A key is made of everything that its content depends on, so an entry never gets old. Nothing fails
because of a cache: what cannot be kept is made again next time, after one sentence that says so. Whoever
can write to the folder can run code as whoever builds there.
"""

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from soaflow.errors import OutputError
from soaflow.files import replacing

VARIABLE = "SOAFLOW_CACHE"
"""Environment variable with the folder of the caches, or `off`."""

LARGEST_BYTES = 1 << 30
"""Of all entries of one cache; the least recently used go first."""

_ENTRY = re.compile(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.([0-9a-f]{12}|[0-9]+\.writer)")
"""Names of entries, and of what a killed job left (see `soaflow.claims`): no other file is the cache's."""

_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries by key.

    Parameters
    ----------
    folder
        Is made when the first entry is kept; None for a cache that keeps nothing.
    """

    folder: Path | None

    @classmethod
    def of_this_user(cls, kind: str) -> Self:
        """Return the cache of a kind, where the environment says or among the user's (XDG base directories).

        A user without a home has none.

        Parameters
        ----------
        kind
            What it keeps, such as `builds`: a folder of that name.
        """
        named = os.environ.get(VARIABLE)
        if named == "off":
            return cls(None)
        if named:
            return cls(Path(named).absolute() / kind)
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
        try:
            return cls(base.expanduser() / "soaflow" / kind)
        except RuntimeError:
            return cls(None)

    def find(self, key: str) -> bytes | None:
        """Return what was kept under a key, or None."""
        if self.folder is None:
            return None
        path = self.folder / key
        try:
            entry = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, content = entry[:_DIGEST_BYTES], entry[_DIGEST_BYTES:]
        return content if hashlib.sha256(content).digest() == digest else None

    def keep(self, key: str, content: bytes) -> bool:
        """Keep content under a key, let go of what was not used for longest, and tell whether that was done.

        If it cannot be done, a sentence on the standard error says why.
        """
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self.folder / key) as temporary:
                temporary.write_bytes(hashlib.sha256(content).digest() + content)
            self._let_go()
        except (OSError, OutputError) as error:
            reason = error.__cause__ if isinstance(error, OutputError) else error
            print(
                f"soaflow: warning: the cache {self.folder} cannot be written: "
                f"{getattr(reason, 'strerror', None) or error}; mend that, or set {VARIABLE} to another "
                "folder or to off",
                file=sys.stderr,
            )
            return False
        return True

    def _let_go(self) -> None:
        assert self.folder is not None
        entries = []
        for path in self.folder.iterdir():
            if not _ENTRY.fullmatch(path.name):
                continue
            with contextlib.suppress(OSError):  # another job may have let go of it
                status = path.stat()
                entries.append((status.st_mtime_ns, status.st_size, path))
        size = sum(entry_size for _, entry_size, _ in entries)
        for _, entry_size, path in sorted(entries)[:-1]:
            if size <= LARGEST_BYTES:
                return
            path.unlink(missing_ok=True)
            size -= entry_size


def cache_key(ingredients: Mapping[str, Any]) -> str:
    """Return the key of an entry: the SHA-256 (hex) of all that it depends on, as JSON values."""
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()
