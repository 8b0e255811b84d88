"""MLflow."""

from typing import TYPE_CHECKING, Any

from jaxrl.tracking.base import Tracked, by_member, identity_of, numbers_of, settings_of

if TYPE_CHECKING:
    import pandas

__all__ = ["MlflowLogger"]

# Longest value of a parameter that MLflow takes.
_LONGEST = 6000


class MlflowLogger:
    """A run per member, where `mlflow.set_tracking_uri` or `MLFLOW_TRACKING_URI` says, or where `mlflow ui` looks.

    Where nobody says, MLflow's own default in the working directory holds, which `mlflow ui` opens there: `mlflow.db`,
    or `mlruns/` of MLflow 2 and of whoever has one.

    Args:
        experiment: its name; default `MLFLOW_EXPERIMENT_NAME`, or `jaxrl`.
        uri: of the tracking server or database.

    Raises:
        ImportError: without mlflow.
    """

    replays = True

    def __init__(self, experiment: str | None = None, uri: str | None = None) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise ImportError("logging to MLflow needs mlflow: pip install 'jaxrl[mlflow]'") from error
        self.experiment, self.uri, self._client_class = experiment, uri, MlflowClient

    def open(self, run: Tracked) -> None:
        import os

        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "jaxrl"
        try:
            self._client = self._client_class(tracking_uri=self.uri)
            found = self._client.get_experiment_by_name(name)
        except ModuleNotFoundError as error:
            raise ImportError(
                f"this MLflow keeps no database, as {error.name} is not installed: pip install mlflow, or set "
                "MLFLOW_TRACKING_URI to a server"
            ) from error
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)
        self._run, self._runs, self._last = run, {}, {}

    def write(self, rows: "pandas.DataFrame") -> None:
        import time

        from mlflow.entities import Metric

        for name, own in by_member(rows):
            records = own.to_dict("records")
            if name not in self._runs:
                self._runs[name] = self._begin(name, records[0])
            now = int(1000 * time.time())
            metrics = [
                Metric(metric, value, now, int(row["steps"]))
                for row in records
                if row["steps"] > self._last[name]
                for metric, value in numbers_of(row, self._run.columns).items()
            ]
            for first in range(0, len(metrics), 1000):
                self._client.log_batch(self._runs[name], metrics=metrics[first : first + 1000])

    def _begin(self, name: str, row: dict[str, Any]) -> str:
        """The identity of a member's run: of the one that a killed process began, or of a new one."""
        self._last[name] = -1
        own = identity_of(self._run, name) or ""
        found = self._client.search_runs([self._experiment], f"tags.`jaxrl.run` = '{own}'") if own else []
        if found:
            identity, metrics = found[0].info.run_id, found[0].data.metrics
            history = (self._client.get_metric_history(identity, metric) for metric in metrics)
            self._last[name] = max((entry.step for rows in history for entry in rows), default=-1)
            return identity
        tags = {"jaxrl.run": own, "jaxrl.directory": str(self._run.directory or ""), "jaxrl.member": name}
        begun = self._client.create_run(self._experiment, tags=tags, run_name=f"{self._run.name} {name}")
        for setting, value in settings_of(self._run, row).items():
            self._client.log_param(begun.info.run_id, setting, str(value)[:_LONGEST])
        return begun.info.run_id

    def close(self) -> None:
        for identity in self._runs.values():
            self._client.set_terminated(identity)
