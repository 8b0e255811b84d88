/* Tables that sort by the buttons of their headers, and show the rows that meet a filter. */
const tables = {
  cell(element) {
    const text = element.textContent.trim();
    const value = element.dataset.value;
    return { text, value: value === undefined ? text : Number(value) };
  },

  start(root) {
    const body = root.querySelector("tbody");
    const headers = [...root.querySelectorAll("thead th")];
    const rows = [...body.rows].map((element) => ({ element, cells: [...element.cells].map(tables.cell) }));
    headers.forEach((header, column) => {
      const button = header.querySelector("button");
      if (button) button.addEventListener("click", () => tables.sort(body, rows, headers, column));
    });
    const filter = root.querySelector("input[type=search]");
    if (filter) filter.addEventListener("input", () => tables.filter(root, rows, headers, filter.value));
  },

  /* Upwards first, then downwards, as the header says. */
  sort(body, rows, headers, column) {
    const upwards = headers[column].getAttribute("aria-sort") !== "ascending";
    headers.forEach((header) => header.hasAttribute("aria-sort") && header.setAttribute("aria-sort", "none"));
    headers[column].setAttribute("aria-sort", upwards ? "ascending" : "descending");
    const direction = upwards ? 1 : -1;
    rows.sort((a, b) => filtering.compare(a.cells[column].value, b.cells[column].value, direction));
    body.append(...rows.map((row) => row.element));
  },

  filter(root, rows, headers, text) {
    const conditions = filtering.parse(text, headers.map((header) => header.textContent.trim()));
    let shown = 0;
    for (const row of rows) {
      row.element.hidden = !filtering.matches(row.cells, conditions);
      shown += !row.element.hidden;
    }
    root.querySelector("[role=status]").textContent = `${shown} of ${rows.length} rows`;
  },
};
