"""The command line; `jaxrl --help` lists its commands."""

from jaxrl.cli.commands import main

__all__ = ["main"]
