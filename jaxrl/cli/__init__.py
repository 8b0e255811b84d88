"""The command line; `jaxrl --help` lists its commands."""

from jaxrl.cli.main import main

__all__ = ["main"]
