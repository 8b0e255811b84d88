"""`python -m jaxrl` is `jaxrl`: one command, of a process that has nothing else to do."""

import gc
import sys

from jaxrl.cli import main

__all__ = ["run"]


def run() -> int:
    """The command of `sys.argv`, and its exit status.

    Tracing makes many small objects that live as long as the process: to look for garbage among them as often as Python
    does by itself, and once more when it ends, takes a fifth of a short run.
    """
    gc.set_threshold(50_000, 20, 20)
    status = main()
    gc.freeze()
    return status


if __name__ == "__main__":
    sys.exit(run())
