"""The folder of an estimator's run: a temporary one that goes with the estimator, or one that the user named."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ..core.errors import CorruptRunError
from ..storage.run_folder import LOCK, SPEC

__all__ = ["EstimatorFolder"]


class EstimatorFolder:
    """The folder of a run; a temporary one is removed when the last estimator that holds it is gone.

    Args:
        kept: the folder that the user named; None for a temporary one.
    """

    def __init__(self, kept: Path | None = None) -> None:
        self.is_temporary = kept is None
        if kept is None:
            above = Path(tempfile.mkdtemp(prefix="jensen-"))
            self.path = above / "run"
            self._finalizer = weakref.finalize(self, _remove, above, os.getpid())
        else:
            self.path = kept

    def contents(self) -> dict[str, bytes]:
        """Return the bytes of its files, by their path within the folder."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file() and not p.is_symlink() and p.name != LOCK)
        return {p.relative_to(self.path).as_posix(): p.read_bytes() for p in files}

    @classmethod
    def of_contents(cls, contents: Mapping[str, bytes]) -> EstimatorFolder:
        """Return a temporary folder with these files.

        Raises:
            CorruptRunError: they are no run, or a path leads out of the folder.
        """
        outside = [name for name in contents if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
        if SPEC not in contents or outside:
            what = f"the path {outside[0]!r} leads out of a run" if outside else f"the run has no {SPEC}"
            raise CorruptRunError(f"this estimator is damaged: {what}", "Fit it again.")
        folder = cls()
        for name, content in contents.items():
            path = folder.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder


def _remove(above: Path, process: int) -> None:
    """Remove a temporary folder, in the process that made it: a fork of it holds the object too."""
    if os.getpid() == process:
        shutil.rmtree(above, ignore_errors=True)
