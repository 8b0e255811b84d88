"""pymoo's part of `metrics.py`: its sorting and its indicator, which minimise."""

from _metric_sets import median_seconds, points_of, reference_of
from _protocol import read_settings, report, versions
from pymoo.indicators.hv import HV
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting


def main() -> None:
    """Times every size of one shape and number of objectives."""
    settings = read_settings()
    num_objectives, rows = settings["num_objectives"], []
    indicator = HV(ref_point=-reference_of(num_objectives).astype(float))
    sorting = NonDominatedSorting()
    calls = {
        "filter": lambda costs: len(sorting.do(costs, only_non_dominated_front=True)),
        "hypervolume": indicator,
    }
    for metric, call in calls.items():
        for size in settings["sizes"][metric]:
            costs = -points_of(settings["shape"], size, num_objectives).astype(float)
            value, seconds = median_seconds(lambda call=call, costs=costs: call(costs))
            rows.append({"metric": metric, "size": size, "value": [float(value)], "run_seconds": seconds})
    report(rows=rows, versions=versions("pymoo", "numpy"))


if __name__ == "__main__":
    main()
