/* Which rows of a table are shown, and in which order: functions of texts and numbers alone. */
const filtering = {
  OPERATORS: {
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
    "!=": (a, b) => a !== b,
    "=": (a, b) => a === b,
    "<": (a, b) => a < b,
    ">": (a, b) => a > b,
  },

  /* Words, and conditions `column>value` on columns that exist. */
  parse(text, names) {
    const lower = names.map((name) => name.toLowerCase());
    return text.trim().toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
      const found = word.match(/^(.+?)(<=|>=|!=|=|<|>)(.*)$/);
      const column = found ? lower.indexOf(found[1]) : -1;
      return column < 0 ? { word } : { column, operator: found[2], value: found[3] };
    });
  },

  /* Whether a row meets every condition. A cell has `text`, as it is shown, and `value`, a number where it is one. */
  matches(cells, conditions) {
    return conditions.every((condition) => {
      if (condition.word !== undefined) return cells.some((cell) => cell.text.toLowerCase().includes(condition.word));
      if (condition.value === "") return true;
      const cell = cells[condition.column];
      const number = Number(condition.value);
      const numeric = typeof cell.value === "number" && !Number.isNaN(number);
      const [a, b] = numeric ? [cell.value, number] : [cell.text.toLowerCase(), condition.value];
      return filtering.OPERATORS[condition.operator](a, b);
    });
  },

  /* By number or by letter; what is no number comes last in either direction. */
  compare(a, b, direction) {
    const missing = (value) => (typeof value === "number" ? Number.isNaN(value) : value === "");
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "number") return direction * ((a > b) - (a < b));
    return direction * a.localeCompare(b, undefined, { numeric: true });
  },
};
