/* The explorer of a front: sliders choose a policy, or a user does, and everything on the page follows. */
const explorer = {
  STEPS: 200,

  start(root) {
    const data = JSON.parse(root.querySelector("script").textContent);
    const front = { ...data, points: data.points.map((point) => point.map(Number)) };
    front.ranges = choosing.ranges(front.points, front.order);
    const state = { view: data.view, axes: [0, 1, 2], raw: [], bounds: [], byHand: null, dominated: false };
    const all = (selector) => [...root.querySelectorAll(selector)];
    const page = {
      root, front, state, weights: all(".weight"), bounds: all(".bound"), axes: all(".axis"),
      plot: root.querySelector(".plot"), status: root.querySelector("[role=status]"),
    };
    explorer.listen(page);
    explorer.update(page);
  },

  listen(page) {
    const { root, state, front } = page;
    const bySlider = () => { state.byHand = null; explorer.update(page); };
    page.weights.forEach((row) => row.querySelector("input").addEventListener("input", bySlider));
    page.bounds.forEach((row, place) => {
      const [slider, field] = row.querySelectorAll("input");
      slider.addEventListener("input", () => {
        const bound = choosing.bound(Number(slider.value), explorer.STEPS, ...front.ranges[place]);
        field.value = bound === null ? "" : Number(bound.toPrecision(6));
        row.bound = bound;
        bySlider();
      });
      field.addEventListener("input", () => {
        const [low, high] = front.ranges[place];
        row.bound = field.value === "" ? null : Number(field.value);
        const share = row.bound === null || high <= low ? 0 : (row.bound - low) / (high - low);
        slider.value = Math.round(explorer.STEPS * Math.min(1, Math.max(0, share)));
        bySlider();
      });
    });
    root.querySelectorAll("[name=view]").forEach((radio) => radio.addEventListener("change", () => explorer.update(page)));
    page.axes.forEach((select) => select.addEventListener("change", () => explorer.update(page)));
    root.querySelector(".dominated").addEventListener("change", () => explorer.update(page));
    root.querySelector(".reset").addEventListener("click", () => explorer.reset(page));
    root.querySelectorAll("[data-choose]").forEach((button) => {
      button.addEventListener("click", () => explorer.byHand(page, Number(button.dataset.choose)));
    });
  },

  reset(page) {
    page.weights.forEach((row) => { row.querySelector("input").value = 50; });
    page.bounds.forEach((row) => {
      const [slider, field] = row.querySelectorAll("input");
      slider.value = 0;
      field.value = "";
      row.bound = null;
    });
    page.state.byHand = null;
    explorer.update(page);
  },

  byHand(page, index) {
    page.state.byHand = index;
    explorer.update(page);
  },

  /* Reads what is set, chooses, and shows. */
  update(page) {
    const { root, front, state } = page;
    state.weights = choosing.normalised(page.weights.map((row) => Number(row.querySelector("input").value)));
    state.bounds = page.bounds.map((row) => row.bound ?? null);
    state.view = root.querySelector("[name=view]:checked").value;
    state.axes = page.axes.map((select) => Number(select.value));
    state.dominated = root.querySelector(".dominated").checked;
    state.chosen = state.byHand ?? choosing.chosen(front.points, front.order, state.weights, state.bounds);
    explorer.label(page);
    explorer.draw(page);
    explorer.describe(page);
    explorer.show(page);
  },

  label(page) {
    const { front, state } = page;
    page.weights.forEach((row, place) => {
      const text = state.weights[place].toFixed(2);
      row.querySelector("output").textContent = text;
      row.querySelector("input").setAttribute("aria-valuetext", `weight ${text}`);
    });
    page.bounds.forEach((row, place) => {
      const bound = state.bounds[place];
      const text = bound === null ? "no threshold" : `at least ${views.number(bound)}`;
      row.querySelector("input").setAttribute("aria-valuetext", text);
    });
    const count = { plane: 2, space: 3, parallel: 0 }[state.view];
    page.axes.forEach((select, place) => { select.closest("label").hidden = place >= count; });
    page.root.querySelector(".axes").hidden = count === 0 || front.names.length === count;
  },

  draw(page) {
    const { front, state, plot } = page;
    const { data, layout } = views[state.view](front, state);
    charts.draw(plot, data, layout);
    if (!page.listening) {
      page.listening = true;
      plot.on("plotly_click", (event) => {
        const index = event.points[0].customdata;
        if (index !== undefined && index !== null) explorer.byHand(page, Number(index));
      });
    }
  },

  /* What is chosen and why, in words. */
  sentence(front, state) {
    if (state.chosen === null) {
      const best = front.names.map((name, place) => `${name} ${views.number(front.ranges[place][1])}`).join(", ");
      return `No policy of the front reaches these thresholds. The best of each objective: ${best}.`;
    }
    const name = `Policy ${state.chosen}`;
    if (state.byHand !== null) return `${name}, chosen by hand. Any slider chooses by preference again.`;
    const worth = views.number(choosing.utility(front.points[state.chosen], state.weights));
    const bounded = state.bounds.some((bound) => bound !== null) ? " among those that reach the thresholds" : "";
    return `${name}: the largest w·G${bounded}, ${worth}.`;
  },

  describe(page) {
    const { root, front, state } = page;
    const text = explorer.sentence(front, state);
    page.status.textContent = text;
    const left = front.order.filter((index) => choosing.meets(front.points[index], state.bounds)).length;
    root.querySelector(".heard").setAttribute("aria-label", `${front.description} ${left} of ${front.order.length} policies on the front reach the thresholds. ${text}`);
    root.querySelectorAll("tbody tr[data-row]").forEach((row) => {
      if (Number(row.dataset.row) === state.chosen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
  },

  show(page) {
    const { root, front, state } = page;
    const card = root.querySelector(".chosen");
    card.hidden = state.chosen === null;
    if (state.chosen === null) return;
    front.names.forEach((_, place) => {
      root.querySelectorAll(".returns td")[place].textContent = views.number(front.points[state.chosen][place]);
    });
    root.querySelectorAll(".commands code").forEach((code, place) => {
      code.textContent = front.commands[place].replaceAll("#", state.chosen);
    });
    const missing = front.missing.replaceAll("#", state.chosen);
    episodes.show(root.querySelector(".episode"), front.episodes[state.chosen], missing);
  },
};
