/* Views of a front as plotly's traces and layouts: functions of the front and of what a user has set.

   front: names, titles (both of objectives), points, order (of the policies on the front, by the first objective),
          ranges (of the front), exact (points or null), colours.
   state: axes (indices of objectives), weights, bounds, chosen (index or null), dominated (whether they are shown). */
const views = {
  number(value) {
    return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
  },

  escaped(text) {
    return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  },

  hover(front, index) {
    const returns = front.titles.map((title, place) => `${views.escaped(title)} ${views.number(front.points[index][place])}`);
    return [`<b>policy ${index}</b>`, ...returns].join("<br>");
  },

  /* Policies by how they are drawn, from the faintest to the chosen one. */
  series(front, state) {
    const on = new Set(front.order);
    const meets = (index) => choosing.meets(front.points[index], state.bounds);
    const rest = front.order.filter((index) => index !== state.chosen);
    const dominated = front.points.map((_, index) => index).filter((index) => !on.has(index) && index !== state.chosen);
    const { grey, blue, orange } = front.colours;
    return [
      { name: "dominated", members: state.dominated ? dominated : [], color: grey, symbol: "circle-open", size: 6, dash: "dot", width: 1 },
      { name: "below a threshold", members: rest.filter((index) => !meets(index)), color: grey, symbol: "x", size: 8, dash: "dash", width: 1 },
      { name: "on the front", members: rest.filter(meets), color: blue, symbol: "circle", size: 9, dash: "solid", width: 1.5 },
      { name: "chosen", members: state.chosen === null ? [] : [state.chosen], color: orange, symbol: "diamond", size: 15, dash: "solid", width: 4 },
    ].filter((series) => series.members.length);
  },

  legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false },

  /* Two objectives. */
  plane(front, state) {
    const [x, y] = state.axes;
    const data = views.exact(front, x, y).concat(views.same(front, state, x, y));
    for (const series of views.series(front, state)) {
      data.push({
        type: "scatter", mode: "markers", name: series.name, customdata: series.members,
        x: series.members.map((index) => front.points[index][x]),
        y: series.members.map((index) => front.points[index][y]),
        text: series.members.map((index) => views.hover(front, index)), hovertemplate: "%{text}<extra></extra>",
        marker: { color: series.color, symbol: series.symbol, size: series.size },
      });
    }
    const line = { color: front.colours.grey, dash: "dash", width: 1.5 };
    const shapes = [];
    if (state.bounds[x] !== null) {
      shapes.push({ type: "line", x0: state.bounds[x], x1: state.bounds[x], y0: 0, y1: 1, yref: "paper", line });
    }
    if (state.bounds[y] !== null) {
      shapes.push({ type: "line", y0: state.bounds[y], y1: state.bounds[y], x0: 0, x1: 1, xref: "paper", line });
    }
    const layout = {
      margin: { l: 60, r: 12, t: 40, b: 48 }, legend: views.legend, shapes, hovermode: "closest", dragmode: false,
      xaxis: { title: { text: views.escaped(front.titles[x]) }, automargin: true, zeroline: false },
      yaxis: { title: { text: views.escaped(front.titles[y]) }, automargin: true, zeroline: false },
    };
    return { data, layout };
  },

  /* The exact front of an environment that has one in two objectives. */
  exact(front, x, y) {
    if (!front.exact || front.names.length !== 2) return [];
    const points = [...front.exact].sort((a, b) => a[x] - b[x]);
    return [{
      type: "scatter", mode: "lines+markers", name: "exact front", hoverinfo: "skip",
      x: points.map((point) => point[x]), y: points.map((point) => point[y]),
      line: { color: front.colours.green, width: 1, dash: "dot" }, marker: { symbol: "square-open", size: 6 },
    }];
  },

  /* Of two objectives, where returns are worth as much as those of the chosen policy. */
  same(front, state, x, y) {
    const { points, order, ranges } = front;
    if (front.names.length !== 2 || state.chosen === null || state.byHand || order.length < 2) return [];
    const [low, high] = ranges[x].map((end, side) => end + (side ? 0.04 : -0.04) * (ranges[x][1] - ranges[x][0]));
    const [bottom, top] = ranges[y];
    const value = choosing.utility(points[state.chosen], state.weights);
    if (!Number.isFinite(value) || !(state.weights[y] > 0)) return [];
    const places = Array.from({ length: 41 }, (_, step) => low + (step / 40) * (high - low));
    const line = places.map((place) => (value - state.weights[x] * place) / state.weights[y]);
    const inside = line.map((height) => height >= bottom - 0.04 * (top - bottom) && height <= top + 0.04 * (top - bottom));
    return [{
      type: "scatter", mode: "lines", name: "worth as much", hoverinfo: "skip",
      x: places.filter((_, step) => inside[step]), y: line.filter((_, step) => inside[step]),
      line: { color: front.colours.orange, width: 1.5, dash: "dash" },
    }];
  },

  /* Three objectives. */
  space(front, state) {
    const [x, y, z] = state.axes;
    const data = views.series(front, state).map((series) => ({
      type: "scatter3d", mode: "markers", name: series.name, customdata: series.members,
      x: series.members.map((index) => front.points[index][x]),
      y: series.members.map((index) => front.points[index][y]),
      z: series.members.map((index) => front.points[index][z]),
      text: series.members.map((index) => views.hover(front, index)), hovertemplate: "%{text}<extra></extra>",
      marker: { color: series.color, symbol: series.symbol, size: series.size * 0.6 },
    }));
    const axis = (place) => ({ title: { text: views.escaped(front.titles[place]) }, showspikes: false });
    const scene = { xaxis: axis(x), yaxis: axis(y), zaxis: axis(z), aspectmode: "cube", camera: { eye: { x: 1.5, y: 1.5, z: 0.8 }, center: { x: 0, y: 0, z: -0.18 } } };
    return { data, layout: { margin: { l: 0, r: 0, t: 40, b: 0 }, legend: views.legend, scene, uirevision: [x, y, z].join() } };
  },

  /* Any number of objectives: every policy a line, every objective scaled to the range of the front. */
  parallel(front, state) {
    const scaled = (value, place) => {
      const [low, high] = front.ranges[place];
      return Number.isFinite(value) ? (high > low ? (value - low) / (high - low) : 0.5) : null;
    };
    const data = views.series(front, state).map((series) => {
      const rows = series.members.flatMap((index) => [...front.points[index].map((value, place) => [index, place, scaled(value, place)]), [index, null, null]]);
      return {
        type: "scatter", mode: "lines+markers", name: series.name, connectgaps: false,
        x: rows.map((row) => row[1]), y: rows.map((row) => row[2]), customdata: rows.map((row) => row[0]),
        text: rows.map((row) => views.hover(front, row[0])), hovertemplate: "%{text}<extra></extra>",
        line: { color: series.color, width: series.width, dash: series.dash },
        marker: { color: series.color, symbol: series.symbol, size: series.size * 0.7 },
      };
    });
    const bounded = state.bounds.map((bound, place) => [bound, place]).filter(([bound]) => bound !== null);
    if (bounded.length) {
      data.push({
        type: "scatter", mode: "markers", name: "threshold", hoverinfo: "skip",
        x: bounded.map(([, place]) => place), y: bounded.map(([bound, place]) => scaled(bound, place)),
        marker: { symbol: "line-ew-open", size: 26, color: front.colours.green, line: { width: 3 } },
      });
    }
    const ends = front.ranges.flatMap(([low, high], place) => [[low, place, 0, "top"], [high, place, 1, "bottom"]]);
    const annotations = ends.map(([value, x, y, yanchor]) => ({
      x, y, yanchor, text: views.number(value), showarrow: false, yshift: y ? 6 : -6,
    }));
    const places = front.names.map((_, place) => place);
    const layout = {
      margin: { l: 24, r: 24, t: 40, b: 56 }, legend: views.legend, annotations, hovermode: "closest", dragmode: false,
      xaxis: {
        tickvals: places, ticktext: front.titles.map(views.escaped), range: [-0.3, places.length - 0.7],
        zeroline: false, automargin: true, showgrid: true,
      },
      yaxis: { visible: false, range: [-0.14, 1.14] },
    };
    return { data, layout };
  },
};
