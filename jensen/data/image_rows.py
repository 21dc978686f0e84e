"""Images that stay in their files: decoded by processes of their own whenever their rows are read.

Each process is a Python that runs `image_worker.serve`. It is asked by a line of JSON, and answers with a line of JSON
and the pixels.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from queue import SimpleQueue
from typing import Any

import numpy as np

from ..core.errors import DataError
from .file_rows import FileRows, gathered
from .image_sizes import Resize

__all__ = ["ImageRows"]

SERVE = "from jensen.data.image_worker import serve; serve()"
MOST_WORKERS = 8
TASK = 64  # images that a process decodes at a time

File = tuple[str, tuple[int, int], str]


class ImageRows(FileRows):
    """The pixels of images [N, H, W, C].

    Args:
        files: path, size and family of each, as their headers have them.
        target: the family that they become, see `images`.
        resize: their conversion to one size, if there is one.
        shape: height, width and channels of the result.
        dtype: of the pixels.
    """

    def __init__(
        self,
        files: Sequence[File],
        target: str,
        resize: Resize | None,
        shape: tuple[int, int, int],
        dtype: np.dtype,
    ) -> None:
        self.files, self.target, self.resize = list(files), target, resize
        self.shape, self.dtype = (len(self.files), *shape), dtype
        self.workers: _Workers | None = None

    def take(self, index: np.ndarray) -> np.ndarray:
        return gathered(self.read, index, self.shape[1:], self.dtype)

    def read(self, start: int, stop: int) -> np.ndarray:
        rows = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        if not len(rows):
            return rows
        if self.workers is None:
            self.workers = _Workers()
        tasks = []
        for first in range(start, stop, TASK):
            files = self.files[first : min(first + TASK, stop)]
            resize = None if self.resize is None else asdict(self.resize)
            asked = {"files": files, "target": self.target, "resize": resize, "shape": self.shape[1:]}
            tasks.append((asked, rows[first - start : first - start + len(files)]))
        self.workers.decode(tasks)
        return rows


class _Workers:
    """Processes that decode images, as many as there are processors, 8 at most; they end with this object."""

    def __init__(self) -> None:
        count = min(os.cpu_count() or 1, MOST_WORKERS)
        self.threads = ThreadPoolExecutor(count, "jensen-images")
        self.free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path},
            )
            for _ in range(count)
        ]
        for process in processes:
            self.free.put(process)
        weakref.finalize(self, _end, processes)

    def decode(self, tasks: list[tuple[dict[str, Any], np.ndarray]]) -> None:
        """Write the pixels of each task into its array.

        Raises:
            DataError: an image is damaged, or a process has ended.
        """
        for done in [self.threads.submit(self._decode, asked, rows) for asked, rows in tasks]:
            done.result()

    def _decode(self, asked: dict[str, Any], rows: np.ndarray) -> None:
        process = self.free.get()
        try:
            if process.stdin is None or process.stdout is None:
                raise OSError("no pipes")
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline() or b"null")
            if answer is None:
                raise OSError("no answer")
            if answer["error"] is not None:
                remedy = "Replace or remove it; read into memory (--in-memory), such images are skipped."
                raise DataError(answer["error"], remedy)
            content = rows.reshape(-1).view(np.uint8).data
            while len(content):
                n = process.stdout.readinto(content)  # pyright: ignore[reportAttributeAccessIssue]
                if not n:
                    raise OSError("the answer was cut short")
                content = content[n:]
        except OSError as error:
            raise DataError(
                f"a process that decodes images has ended ({error})",
                "Try again; with less memory in use, if it was killed.",
            ) from error
        finally:
            self.free.put(process)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes, which have nothing to lose."""
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was asked of a process that had ended
                if pipe is not None:
                    pipe.close()
