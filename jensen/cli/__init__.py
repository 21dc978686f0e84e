"""The command line: one file per verb; this one starts quickly, and turns every failure into a line and an exit code.

Results go to stdout and everything else to stderr. Exit codes: 0 done, 1 failure, 2 usage, 3 bad data, 4 a damaged run,
5 a number that is not finite, 6 the doctor found a problem, 75 interrupted with a readable run, 130 interrupted at
once, 141 a closed stdout; a stderr that is closed or full changes nothing.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext

from ..core.errors import JensenError, UsageError
from ..core.version import __version__
from .output import complain, say
from .signals import stopping
from .verbs import VERBS

__all__ = ["main"]

INTERRUPTED, CLOSED_PIPE = 130, 141  # what a shell reports for SIGINT and SIGPIPE
STOPPABLE = ("train", "resume", "rate-distortion")  # verbs that train


def _overview() -> str:
    verbs = "\n".join(f"  {name:<15} {what}" for name, what in VERBS.items())
    return f"""jensen {__version__}: latent-variable models by maximum likelihood, and how tight the bound is.

Usage: jensen COMMAND [OPTIONS]

Commands:
{verbs}

  -h, --help   of jensen, or of a command: jensen train --help
  --version    the version
  --debug      show the traceback of an error (also JENSEN_DEBUG=1)

Start: jensen train digits --out runs/digits"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code; no exception leaves, and no traceback is shown unless asked for.

    Args:
        argv: the words after `jensen`; by default those that this process was started with.
    """
    atexit.register(gc.freeze)  # a process that ends need not look through all that it holds: half a second of torch
    words = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # a process may be started without one
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # open until the process ends
    debug = "--debug" in words or os.environ.get("JENSEN_DEBUG") == "1"
    try:
        code = _dispatch([word for word in words if word != "--debug"])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the reader has gone; what is still buffered must not fail again when the interpreter exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        return CLOSED_PIPE
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except Exception as error:  # the last resort: everything that goes wrong ends as a line and a code
        if debug:
            say(traceback.format_exc(), end="")
        return _explain(error)
    finally:
        say("", end="")  # what others left in the buffer of a stderr that takes nothing must not change the code


def _dispatch(words: list[str]) -> int:
    """Run the words; the exit code of a verb that gives one, else 0."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())  # by hand, because importing the parser takes longer than all of this
    elif words[0] == "--version":
        print(__version__)
    elif words[0].startswith("-"):
        raise UsageError(
            f"{words[0]} comes before any command", "Begin with a command: jensen train DATA; see jensen --help."
        )
    else:
        with stopping() if words[0] in STOPPABLE else nullcontext():
            from .app import run  # the parser, and then the verb's own imports

            code = run(words)
        return code if isinstance(code, int) else 0
    return 0


def _explain(error: Exception) -> int:
    """Say what happened in at most four lines, and return the exit code."""
    if isinstance(error, JensenError):
        complain(error.what, error.remedy)
        return error.exit_code
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in str(error):
        complain("there is not enough memory", "Give a smaller --batch, fewer rows, or another --device.")
    elif isinstance(error, OSError) and error.strerror:
        complain(
            f"{error.filename or 'a file'}: {error.strerror}", "Check the path, its permissions and the space left."
        )
    else:
        complain(
            f"internal error ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            "This is a bug of jensen: please report it; --debug shows the traceback.",
        )
    return 1
