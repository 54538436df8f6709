"use strict";
// The table of every recipe: sorted by a click on a heading, filtered by words and conditions, with columns to choose.
const WORDS = ["recipe", "state", "role"]; // columns of words, to the left
const FEW = 200; // rows that are drawn before one asks for all
const table = { key: null, up: true, all: false, shown: new Set(data.columns.filter((column) => column.shown).map((column) => column.key)) };

function compared(one, other) {
  const [left, right] = [one[table.key], other[table.key]];
  if (left === null || left === undefined) return right === null || right === undefined ? 0 : 1; // what is missing stays last
  if (right === null || right === undefined) return -1;
  const order = typeof left === "number" && typeof right === "number" ? left - right : String(left).localeCompare(String(right));
  return table.up ? order : -order;
}

// Until a heading is clicked: the frontier first, then baselines, then the best scores.
function standingFirst(one, other) {
  const rank = (row) => (row.on_frontier ? 0 : row.role === "baseline" ? 1 : row.complete ? 2 : 3);
  return rank(one) - rank(other) || (other.robust_accuracy ?? -1) - (one.robust_accuracy ?? -1);
}

function sorted() {
  return filtered().sort(table.key === null ? standingFirst : compared);
}

function shownColumns() {
  return data.columns.filter((column) => table.shown.has(column.key));
}

function sortBy(key) {
  const textual = typeof rows.map((row) => row[key]).find((value) => value !== null && value !== undefined) === "string";
  const first = textual || /flops|macs|bytes|seconds|ratio|parameters/.test(key); // what is better when it is less
  table.up = table.key === key ? !table.up : first;
  table.key = key;
  drawTable();
  byPlace("rows").querySelector(`[data-key="${CSS.escape(key)}"]`).focus();
}

function heading(column) {
  const sortedBy = column.key === table.key ? (table.up ? "ascending" : "descending") : "none";
  const arrow = { ascending: " ▲", descending: " ▼", none: "" }[sortedBy];
  return make("th", { scope: "col", "aria-sort": sortedBy, class: WORDS.includes(column.key) ? "words" : null },
    make("button", { title: column.words, "data-key": column.key, onclick: () => sortBy(column.key) }, column.label + arrow));
}

function line(row, chosen) {
  const tick = make("input", {
    type: "checkbox", "aria-label": `learning curve of ${row.id}`, checked: state.chosen.has(row.id), disabled: !data.curves[row.id],
    onclick: (event) => event.stopPropagation(),
    onchange: (event) => {
      const chosen = new Set(state.chosen);
      if (event.target.checked) chosen.add(row.id); else chosen.delete(row.id);
      change({ chosen });
    },
  });
  const pin = () => change({ pinned: row.id });
  const cells = chosen.map((column) => make("td", { class: { recipe: "long", state: "long", role: "words" }[column.key] ?? null },
    column.key === "role" && row.name && row.name !== row.role ? `${row.role} ${row.name}` : written(column.key, row[column.key])));
  return make("tr", {
    "data-id": row.id, tabindex: 0, class: [row.on_frontier ? "member" : "", row.id === state.pinned ? "pinned" : ""].join(" ").trim() || null,
    onclick: pin, onkeydown: (event) => event.target.tagName === "TR" && event.key === "Enter" && pin(),
  }, make("td", {}, tick), ...cells);
}

function drawTable() {
  const some = sorted();
  const chosen = shownColumns();
  const drawn = table.all ? some : some.slice(0, FEW);
  byPlace("rows").replaceChildren(make("table", {},
    make("thead", {}, make("tr", {}, make("th", { title: "draw its learning curve below" }, "curve"), ...chosen.map(heading))),
    make("tbody", {}, ...drawn.map((row) => line(row, chosen)))));
  byPlace("count").textContent = `${some.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} recipes`;
  byPlace("more").hidden = drawn.length === some.length;
  byPlace("more").textContent = `show all ${some.length.toLocaleString("en")}`;
}

function markPinned() {
  for (const row of byPlace("rows").querySelectorAll("tbody tr")) row.classList.toggle("pinned", row.dataset.id === state.pinned);
}

function csv() {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const keys = shownColumns().flatMap((column) => (column.key === "role" ? ["role", "name"] : [column.key]));
  return [keys, ...sorted().map((row) => keys.map((key) => row[key]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

function startTable() {
  const choices = byPlace("columns");
  for (const column of data.columns) {
    const box = make("input", {
      type: "checkbox", checked: table.shown.has(column.key), value: column.key,
      onchange: (event) => { if (event.target.checked) table.shown.add(column.key); else table.shown.delete(column.key); drawTable(); },
    });
    choices.append(make("label", { title: column.words }, box, ` ${column.label}`));
  }
  byPlace("filter").addEventListener("input", (event) => change({ text: event.target.value }));
  byPlace("copy").addEventListener("click", (event) => copy(csv(), event.target));
  byPlace("more").addEventListener("click", () => { table.all = true; drawTable(); });
  drawTable();
  onChange(["text", "brush"], drawTable);
  onChange(["pinned"], markPinned);
}
