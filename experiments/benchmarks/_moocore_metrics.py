"""moocore's part of `metrics.py`: its C functions on float64 arrays that are contiguous already."""

import moocore
import numpy as np
from _metric_sets import median_seconds, points_of, reference_of
from _protocol import read_settings, report, versions


def main() -> None:
    """Times every size of one shape and number of objectives."""
    settings = read_settings()
    num_objectives, rows = settings["num_objectives"], []
    reference = reference_of(num_objectives).astype(float)
    calls = {
        "filter": lambda points: np.sum(moocore.is_nondominated(points, maximise=True, keep_weakly=False)),
        "hypervolume": lambda points: moocore.hypervolume(points, ref=reference, maximise=True),
    }
    for metric, call in calls.items():
        for size in settings["sizes"][metric]:
            points = np.ascontiguousarray(points_of(settings["shape"], size, num_objectives), dtype=float)
            value, seconds = median_seconds(lambda call=call, points=points: call(points))
            rows.append({"metric": metric, "size": size, "value": [float(value)], "run_seconds": seconds})
    report(rows=rows, versions=versions("moocore", "numpy"))


if __name__ == "__main__":
    main()
