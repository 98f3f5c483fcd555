"""The boundary of the program: what a user can meet becomes one sentence on stderr and an exit code.

0 done; 1 an error, in a sentence; 2 wrong usage; 130 interrupted; 141 the reader of the results has gone.
"""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable

import typer

from translator.errors import ReaderGoneError
from translator.runtime.failures import describe_error
from translator.runtime.printable import printable

DEBUG = "TRANSLATOR_DEBUG"
"""Environment variable; where it is set, errors come with the traceback that we leave out."""


def use_utf8() -> None:
    """Start the program again in Python's UTF-8 mode where the locale knows nothing but ASCII.

    There, words of the command line and names of files are half characters that nothing can encode.
    """
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"  # of the processes that this one starts, too
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def run_program(program: Callable[[], object]) -> int:
    """Call `program`, which may return an exit code, and return the exit code of the process, whatever happens."""
    _prepare_streams()
    code: int
    try:
        code = int(program() or 0)  # type: ignore[call-overload]
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except Exception as error:
        code = _report(error)
    _abandon_broken_streams()
    return code


def _prepare_streams() -> None:
    """See that descriptors 0 to 2 are open, and that stdout takes any text.

    A file that is opened while one of the three is closed (`2>&-`) would get its number, and with it whatever
    libraries print there.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _report(error: Exception) -> int:
    """Print what went wrong and return the exit code."""
    if isinstance(error, BrokenPipeError | ReaderGoneError):
        return 141
    if isinstance(error, typer.Abort) and error.__cause__ is not None:
        error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    if any(kind.__name__ == "ClickException" for kind in type(error).__mro__):  # of typer's own copy of click
        from translator.distributed.launch import is_worker

        # All processes of a job have the same command line; one of them says what is wrong with it.
        if not is_worker() or os.environ["RANK"] == "0":
            text = io.StringIO()
            error.show(file=text)  # type: ignore[attr-defined]
            _print(text.getvalue().rstrip("\n"))
        return int(getattr(error, "exit_code", 2))
    sentence = describe_error(error)
    if sentence is None or os.environ.get(DEBUG):
        _print("".join(traceback.format_exception(error)).rstrip("\n"))
    _print(f"error: {sentence or 'this is a bug; please report the command and the lines above'}")
    return 1


def _print(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(printable(text), file=sys.stderr, flush=True)


def _abandon_broken_streams() -> None:
    """Keep the interpreter, at its end, from complaining about streams that can no longer be written to."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
