"""Weights & Biases."""

from typing import TYPE_CHECKING, Any

from jaxrl.tracking.base import Tracked, by_member, identity_of, numbers_of, settings_of

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
        for name, own in by_member(rows):
            records = own.to_dict("records")
            run = self._runs.get(name) or self._begin(name, records[0])
            for row in records:
                run.log({"steps": int(row["steps"]), **numbers_of(row, self._run.columns)})

    def _begin(self, name: str, row: dict[str, Any]) -> Any:
        import os

        place = {"dir": str(self._run.directory)} if self._run.directory else {}
        identity = {"id": identity_of(self._run, name), "resume": "allow"} if place else {}
        project = {} if os.environ.get("WANDB_PROJECT") else {"project": "jaxrl"}
        self._runs[name] = begun = self._wandb.init(
            **{**project, **place, **identity, "group": self._run.name, "name": f"{self._run.name} {name}",
               "config": settings_of(self._run, row), "reinit": "create_new", **self.options}
        )  # fmt: skip
        begun.define_metric("*", step_metric="steps")
        return begun

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
