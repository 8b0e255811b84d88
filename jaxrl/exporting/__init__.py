"""Policies without jaxrl: as a function of named arrays, written in a format that other programs run."""

from jaxrl.exporting.formats import FORMATS, Format, packed

__all__ = ["FORMATS", "Format", "packed"]
