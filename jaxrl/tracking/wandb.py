"""Weights & Biases."""

import hashlib
from typing import TYPE_CHECKING, Any

from jaxrl.tracking.base import Tracked, numbers_of

if TYPE_CHECKING:
    import pandas

__all__ = ["WandbLogger"]


class WandbLogger:
    """A run per member, grouped by the run directory; the variables of wandb itself (`WANDB_MODE`, ...) hold.

    Args:
        project: of the runs; default `WANDB_PROJECT`, or `jaxrl`.
        options: of `wandb.init`.

    Raises:
        ImportError: without wandb.
    """

    def __init__(self, project: str | None = None, **options: Any) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ImportError("logging to Weights & Biases needs wandb: pip install 'jaxrl[wandb]'") from error
        self._wandb, self.options = wandb, {**({"project": project} if project else {}), **options}

    def open(self, run: Tracked) -> None:
        self._run, self._runs = run, {}

    def write(self, rows: "pandas.DataFrame") -> None:
        column = "member" if "member" in rows else "seed"
        for row in rows.to_dict("records"):
            name = f"{column}_{row[column]}"
            if name not in self._runs:
                self._runs[name] = self._begin(name, row)
            self._runs[name].log({"steps": int(row["steps"]), **numbers_of(row, self._run.columns)})

    def _begin(self, name: str, row: dict[str, Any]) -> Any:
        import os

        own = {setting: row[setting] for setting in ("seed", *self._run.columns) if setting in row}
        place = {"dir": str(self._run.directory)} if self._run.directory else {}
        identity = {}
        if self._run.directory is not None:
            # The same again for a run that is resumed.
            text = f"{self._run.directory.resolve()} {name}"
            identity = {"id": hashlib.sha256(text.encode()).hexdigest()[:16], "resume": "allow"}
        project = {} if os.environ.get("WANDB_PROJECT") else {"project": "jaxrl"}
        begun = self._wandb.init(
            **{**project, **place, **identity, "group": self._run.name, "name": f"{self._run.name} {name}",
               "config": {**self._run.configuration, **own}, "reinit": "create_new", **self.options}
        )  # fmt: skip
        begun.define_metric("*", step_metric="steps")
        return begun

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
