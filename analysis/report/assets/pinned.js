"use strict";
// The recipe that is pinned, beside the frontier: its numbers, the whole recipe, and the command that exports it.
function lines(value, indent = "") {
  if (value === null || typeof value !== "object") return String(value);
  return Object.entries(value).map(([key, part]) => {
    const nested = part !== null && typeof part === "object" && Object.keys(part).length;
    return `${indent}${key}:${nested ? "\n" : " "}${lines(part, `${indent}  `)}`;
  }).join("\n");
}

// A whole recipe, put together from the parts that recipes share.
function recipeOf(row) {
  const { keys, parts, recipes } = data.details;
  const there = keys.map((key, number) => [key, recipes[row.place][number]]).filter(([, place]) => place >= 0);
  return Object.fromEntries(there.map(([key, place]) => [key, parts[place]]));
}

function standing(row) {
  if (!row.complete) return row.state;
  if (row.excluded) return `not on the frontier: ${row.excluded}`;
  const where = row.on_frontier ? "on the frontier" : row.role === "base" ? "the ordinary base" : "dominated";
  return row.in_region ? where : `${where}, outside the region that the study asks for`;
}

// What a row has in some of the columns, as a list.
function numbersOf(row, wanted) {
  const numbers = make("dl", { class: "facts" });
  for (const column of data.columns.filter(wanted)) {
    if (["recipe", "id", "state"].includes(column.key) || row[column.key] === null || row[column.key] === undefined) continue;
    numbers.append(make("dt", { title: column.words }, column.label), make("dd", {}, written(column.key, row[column.key])));
  }
  return numbers;
}

function drawPinned() {
  const panel = byPlace("pinned");
  const row = byId.get(state.pinned);
  panel.replaceChildren();
  if (!row) {
    panel.append(make("p", { class: "note" }, "Click a point or a row to pin its recipe here. In the chart, ← and → walk over them by cost, Esc lets go."));
    return;
  }
  const chief = (column) => column.shown || column.key.startsWith("param.");
  panel.append(
    make("h3", {}, titleOf(row)),
    make("p", {}, make("code", {}, row.id), ` ${standing(row)} `, make("button", { onclick: () => change({ pinned: null }) }, "unpin")),
  );
  if (row.complete && row.role !== "base") {
    const command = `${data.export} ${row.id} --format onnx --output ${row.id.slice(0, 8)}.onnx`;
    const button = make("button", { onclick: () => copy(command, button) }, "copy");
    panel.append(make("pre", { id: "command" }, command), button);
  }
  panel.append(
    numbersOf(row, chief),
    make("details", {}, make("summary", {}, "all other numbers"), numbersOf(row, (column) => !chief(column))),
    make("details", {}, make("summary", {}, "the whole recipe"), make("pre", {}, lines(recipeOf(row)))),
  );
}

function startPinned() {
  drawPinned();
  onChange(["pinned"], drawPinned);
}
