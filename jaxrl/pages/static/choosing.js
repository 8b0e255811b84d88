/* Which policy of a front a user prefers: functions of numbers alone, as jaxrl.choose has them. */
const choosing = {
  /* Preference weights from what sliders say: they sum to 1, and are equal where all sliders are at 0. */
  normalised(raw) {
    const sum = raw.reduce((total, value) => total + value, 0);
    return raw.map((value) => (sum > 0 ? value / sum : 1 / raw.length));
  },

  /* w·G. */
  utility(point, weights) {
    return point.reduce((total, value, index) => total + weights[index] * value, 0);
  },

  /* Whether returns reach every bound; null bounds nothing. */
  meets(point, bounds) {
    return point.every((value, index) => bounds[index] === null || value >= bounds[index]);
  },

  /* The first of the largest w·G among those that meet the bounds; null where none does. `order` is the front's. */
  chosen(points, order, weights, bounds) {
    let best = null;
    let most = -Infinity;
    for (const index of order) {
      const value = choosing.utility(points[index], weights);
      if (!Number.isNaN(value) && choosing.meets(points[index], bounds) && (best === null || value > most)) {
        best = index;
        most = value;
      }
    }
    return best;
  },

  /* The bound at a place of a slider: nothing at 0, the largest return at the end. */
  bound(place, steps, low, high) {
    if (place <= 0) return null;
    return place >= steps ? high : low + (place / steps) * (high - low);
  },

  /* The largest finite return of each objective, and the smallest. */
  ranges(points, order) {
    return points[0].map((_, index) => {
      const values = order.map((policy) => points[policy][index]).filter(Number.isFinite);
      return values.length ? [Math.min(...values), Math.max(...values)] : [0, 0];
    });
  },
};
