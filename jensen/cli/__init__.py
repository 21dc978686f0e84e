"""The command line: one file per verb; this one starts quickly, and turns every failure into a message and a code.

Results go to stdout and everything else to stderr. Exit codes: 0 success, 1 failure, 2 usage, 3 bad data, 4 a damaged
run, 5 a number that is not finite, 6 a check that failed (`doctor`, `verify`, `compare --fail-worse`), 75 interrupted
with a readable run, 130 interrupted at once, 141 a closed stdout. A full stdout is a failure; a stderr that is closed
or full changes nothing.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import nullcontext

from ..core.errors import InterruptedRun, JensenError, LostProcess, UsageError
from ..core.launch import Launch
from ..core.version import __version__
from .launched import READERS
from .output import occupy_standard_streams, print_error, print_page, print_stderr, silent, stdout_failure
from .signals import SIGNALS, stopping
from .verbs import VERBS

__all__ = ["main"]

SHOWN = 200  # characters of a name
INTERRUPTED, CLOSED_PIPE = 130, 141  # what a shell reports for SIGINT and SIGPIPE
SHARED = ("train", "resume", *READERS)  # verbs whose work several processes share
ALONE_AFTER = 3.0  # seconds after which an error is that of one process alone
STOPPABLE = ("train", "resume", "rate-distortion")  # verbs that train


def _overview() -> str:
    """Return the help of the whole command line."""
    verbs = "\n".join(f"  {name:<16} {summary}" for name, summary in VERBS.items())
    return f"""jensen {__version__}: train latent-variable models, and measure how tight the bound is.

Usage: jensen COMMAND [OPTIONS]

Commands:
{verbs}

Options:
  -h, --help       show the help of jensen, or of a command: jensen train --help
  --version        show the version
  --debug          show the traceback of an error (also JENSEN_DEBUG=1)

Start: jensen train digits --out runs/digits"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code; no exception is raised, and tracebacks are shown on request only.

    Args:
        argv: the words after `jensen`; by default those that this process was started with.
    """
    launch = Launch.read()
    words = list(sys.argv[1:] if argv is None else argv)
    if launch is not None and launch.rank > 0 and (not words or words[0] not in SHARED):
        return 0  # the first process does it
    with silent(launch is not None and launch.rank > 0):
        return _main(words, launch)


def _main(words: list[str], launch: Launch | None) -> int:
    """Run a command in a single process, or in one of several that torchrun has started together."""
    atexit.register(gc.freeze)  # the last garbage collection of a process with torch would take half a second
    occupy_standard_streams()
    # Arrow's own allocator keeps more of what was freed than the C library's does
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    debug = "--debug" in words or os.environ.get("JENSEN_DEBUG") == "1"
    try:
        _check_names(words)
        code = _dispatch([word for word in words if word != "--debug"])
        failure = stdout_failure()
        return code if failure is None else _report_stdout(failure)
    except BrokenPipeError as error:
        return _report_stdout(stdout_failure() or error)
    except KeyboardInterrupt:
        print_error("interrupted")
        return INTERRUPTED
    except Exception as error:  # the last resort: every failure ends as a message and a code
        if debug:
            print_stderr(traceback.format_exc(), end="")
        if launch is not None and launch.rank > 0:
            return _report_after_first(error, launch.rank)
        return _report(error)
    finally:
        print_stderr("", end="")  # flush here: a stderr that is closed or full must not change the exit code


def _check_names(words: list[str]) -> None:
    """Refuse names whose bytes are no text, before they are recorded in a run.

    Raises:
        UsageError: naming the first.
    """
    for word in words:
        if "\x00" in word:
            raise UsageError(f"{word[:SHOWN]} has a NUL, which no name can have", "Leave it out.")
        if any("\ud800" <= character <= "\udfff" for character in word):
            encoding = sys.getfilesystemencoding()
            raise UsageError(
                f"the name {word} has bytes that are not text in {encoding}",
                "Rename it, or link to it by another name" + (", or set PYTHONUTF8=1." if encoding != "utf-8" else "."),
            )


def _dispatch(words: list[str]) -> int:
    """Run a command, and return the exit code of its verb, 0 if it returns none."""
    if not words or words[0] in ("-h", "--help", "help"):
        print_page(_overview())  # without the parser, whose import would take most of the time
    elif words[0] == "--version":
        print_page(__version__)
    elif words[0].startswith("-"):
        raise UsageError(
            f"a command must come first, got {words[0]}", "Begin with a command: jensen train DATA; see jensen --help."
        )
    else:
        with stopping() if words[0] in STOPPABLE else nullcontext():
            from .app import run  # imports the parser, and then the verb

            code = run(words)
        return code if isinstance(code, int) else 0
    return 0


def _report_stdout(error: OSError) -> int:
    """Say that stdout is full, or nothing if it is closed, and return the exit code."""
    if isinstance(error, BrokenPipeError) or error.errno in (errno.EPIPE, errno.EBADF):
        return CLOSED_PIPE
    print_error(
        f"stdout: {error.strerror or error}",
        "The command has finished, and what it keeps in files is complete; its output is lost.",
    )
    return 1


def _report_after_first(error: Exception, rank: int) -> int:
    """Report an error of a process that is not the first, and return its exit code.

    What all processes run into is said by the first, after which torchrun ends the others: this one waits for that.
    What it alone knows of it says itself.
    """
    if isinstance(error, InterruptedRun | LostProcess):
        return error.exit_code
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    time.sleep(ALONE_AFTER)
    with silent(False):
        print_stderr(f"process {rank}:")
        return _report(error)


def _report(error: Exception) -> int:
    """Print an error in at most four lines, and return its exit code."""
    if isinstance(error, JensenError):
        print_error(error.what, error.remedy)
        return error.exit_code
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in str(error):
        print_error("there is not enough memory", "Give a smaller --batch, fewer rows, or another --device.")
    elif isinstance(error, OSError) and error.strerror:
        name = str(error.filename or "a file")[:SHOWN]
        print_error(f"{name}: {error.strerror}", "Check the path, its permissions and the free space.")
    else:
        print_error(
            f"internal error ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            "This is a bug of jensen: please report it; --debug shows the traceback.",
        )
    return 1
