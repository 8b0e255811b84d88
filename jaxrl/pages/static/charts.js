/* Charts of plotly's, in the colours of a light or a dark page, drawn when they come into view. */
const charts = {
  dark: window.matchMedia("(prefers-color-scheme: dark)"),
  drawn: new Map(),
  CONFIG: { responsive: true, displaylogo: false, displayModeBar: false },

  ink() {
    return charts.dark.matches ? { text: "#E6E6E6", grid: "#3A3F47", line: "#8A8F98" }
      : { text: "#222222", grid: "#E2E2E2", line: "#8A8A8A" };
  },

  /* Black lines are white on a dark page. */
  recoloured(value) {
    if (Array.isArray(value)) return value.map(charts.recoloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, charts.recoloured(part)]));
    }
    return value === "#000000" && charts.dark.matches ? "#FFFFFF" : value;
  },

  themed(layout) {
    const ink = charts.ink();
    const axis = { gridcolor: ink.grid, linecolor: ink.line, zerolinecolor: ink.grid, tickcolor: ink.line };
    const found = {
      ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink.text, size: 13, ...layout.font },
      hoverlabel: { font: { color: "#111111" }, bgcolor: "#FFFFFF", bordercolor: ink.line },
    };
    for (const name of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name))) {
      found[name] = { ...axis, ...layout[name] };
    }
    if (layout.scene) {
      const space = { ...axis, backgroundcolor: "rgba(0,0,0,0)", color: ink.text };
      found.scene = { ...layout.scene };
      for (const name of ["xaxis", "yaxis", "zaxis"]) found.scene[name] = { ...space, ...layout.scene[name] };
    }
    return found;
  },

  draw(element, data, layout) {
    charts.drawn.set(element, [data, layout]);
    Plotly.react(element, charts.recoloured(data), charts.themed(layout), charts.CONFIG);
    // Plotly measures words in a picture of its own, of which nobody need hear.
    document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
  },

  start() {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((entry) => entry.isIntersecting)) {
        seen.unobserve(entry.target);
        const figure = JSON.parse(entry.target.querySelector("script").textContent);
        charts.draw(entry.target.querySelector(".plot"), figure.data, figure.layout);
      }
    }, { rootMargin: "400px" });
    document.querySelectorAll(".chart").forEach((element) => seen.observe(element));
    charts.dark.addEventListener("change", () => charts.drawn.forEach((drawn, element) => charts.draw(element, ...drawn)));
    const all = () => document.querySelectorAll(".chart").forEach((element) => {
      if (!charts.drawn.has(element.querySelector(".plot"))) {
        const figure = JSON.parse(element.querySelector("script").textContent);
        charts.draw(element.querySelector(".plot"), figure.data, figure.layout);
      }
    });
    window.addEventListener("beforeprint", all);
  },
};
