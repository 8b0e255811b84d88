"""The entry of the command line: which command it is, and what becomes of errors."""

import os
import sys
from collections.abc import Sequence

from jaxrl import plugins
from jaxrl.cli.compilation import keep_compiled
from jaxrl.cli.everywhere import take_options
from jaxrl.cli.names import COMMANDS
from jaxrl.errors import require_name
from jaxrl.runs.kinds import own_kinds

__all__ = ["main"]

# Exit statuses: of a command that was used wrongly, of a fault in jaxrl, and those of the signals that stop a program.
_USE, _FAULT, _INTERRUPTED, _BROKEN_PIPE = 2, 1, 130, 141
# What is raised about use; anything else is a fault in jaxrl or in what it was given to run.
_OF_USE = (ValueError, ImportError, OSError, IndexError, FloatingPointError, MemoryError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; what goes wrong is one line on standard error.

    With the environment variable JAXRL_TRACEBACK=1 errors are raised, so that Python shows where they come from.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _command(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as stopped:
        return _say(f"interrupted{stopped.args[0] if stopped.args else ''}", _INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has enough; Python would complain when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        if os.environ.get("JAXRL_TRACEBACK", "0") not in ("", "0"):
            raise
        if isinstance(error, _OF_USE):
            return _say(_sentence(error), _USE)
        what = f"{type(error).__name__}: {_sentence(error)}"
        return _say(f"this should not happen: {what}; with JAXRL_TRACEBACK=1 Python shows where it comes from", _FAULT)


def _command(arguments: list[str]) -> int:
    if arguments and arguments[0] in ("--version", "-V"):
        from jaxrl import __version__

        print(f"jaxrl {__version__}")
        return 0
    arguments, everywhere = take_options(arguments)
    plugins.load(everywhere["--import"])
    known = {**own_kinds(), **COMMANDS}
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, known))
        print("usage: jaxrl COMMAND ...\n")
        print("\n".join(f"  {name:<{width}}  {text}" for name, text in known.items()))
        print("\njaxrl COMMAND --help explains every option; jaxrl --version says which jaxrl this is.")
        return 0
    command = require_name("command", arguments[0], known)
    if command == "list":
        from jaxrl.cli.listing import list_names

        list_names(arguments[1:])
    else:
        from jaxrl.cli.commands import run

        keep_compiled(next(reversed(everywhere["--compilation-cache"]), None))
        run(command, arguments[1:])
    return 0


def _say(text: str, status: int) -> int:
    print(f"jaxrl: {text}", file=sys.stderr)
    return status


def _sentence(error: Exception) -> str:
    """What an error says, on one line."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        name = str(error.filename)
        return f"{name if len(name) < 200 else name[:200] + '...'}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
