"""Tables as text."""

from typing import TYPE_CHECKING

from jaxrl.sweeps.tables import evaluation_table, metrics_table
from jaxrl.training.evaluation import evaluation_columns, return_columns

if TYPE_CHECKING:
    import pandas

__all__ = ["as_text", "evaluation_columns", "evaluation_table", "metrics_table", "return_columns"]

# Wider tables than these, of few rows, are printed on their side.
_WIDE, _FEW = 12, 3


def as_text(table: "pandas.DataFrame") -> str:
    """A table for the terminal, four digits; a few wide rows are turned into columns."""
    float_format = lambda value: f"{value:.4g}"  # noqa: E731
    if len(table.columns) > _WIDE and len(table) <= _FEW:
        return table.T.to_string(header=False, float_format=float_format)
    return table.to_string(index=False, float_format=float_format)
