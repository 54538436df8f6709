"use strict";
// What the page shows and how it is looked at: the rows of the table, how numbers are written, and who hears of a change.
const data = JSON.parse(document.getElementById("data").textContent);
const columns = new Map(data.columns.map((column) => [column.key, column]));
const rows = data.values.id.map((_, place) => {
  const row = { place };
  for (const [key, column] of Object.entries(data.values)) row[key] = column.length === 1 ? column[0] : column[place];
  return row;
});
const byId = new Map(rows.map((row) => [row.id, row]));

const state = { axis: data.axis, dominated: true, bars: true, text: "", brush: null, pinned: data.knee, chosen: new Set() };
const hearing = []; // functions that draw anew what depends on the state; they are given the names of what changed

function change(part) {
  Object.assign(state, part);
  for (const hear of hearing) hear(new Set(Object.keys(part)));
}

function onChange(names, draw) {
  hearing.push((changed) => names.some((name) => changed.has(name)) && draw());
}

function byPlace(id) {
  return document.getElementById(id);
}

// An element with attributes and children; texts are set as texts, so that none of a run's can be markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// A value as people read it; copied tables hold all of its digits.
function written(key, value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  if (/_ratio$/.test(key) && !key.startsWith("param.")) {
    const percent = 100 * value;
    return `${percent > 0 && percent < 0.095 ? percent.toPrecision(2) : percent.toFixed(1)}%`;
  }
  if (/flops|bitops|joules/.test(key)) return value ? value.toExponential(2).replace("e+", "e") : "0";
  if (/accuracy|stderr|confirmed_(low|high|clean|scored|after)|share/.test(key)) return value.toFixed(3);
  if (/seconds$/.test(key)) return value.toFixed(1);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

function titleOf(row) {
  return row.name && row.name !== row.role ? `${row.name}: ${row.recipe}` : row.recipe;
}

// A filter is words, all of which must be in a row, and conditions such as robust>0.5 or epochs<=6, by key or heading.
function condition(word) {
  const parts = /^([\w.\-]+)(<=|>=|<|>|=)(.+)$/.exec(word);
  if (!parts) return null;
  const name = parts[1].toLowerCase();
  const calls = [(column) => column.key, (column) => column.label.replaceAll(" ", "_"), (column) => column.key.replace(/^param\./, "")];
  const named = calls.map((call) => data.columns.find((column) => call(column).toLowerCase() === name)).find(Boolean);
  if (!named) return null;
  const wanted = parts[3].endsWith("%") ? Number(parts[3].slice(0, -1)) / 100 : Number(parts[3]);
  return (row) => {
    const value = row[named.key];
    if (value === null || value === undefined) return false;
    if (parts[2] === "=") return typeof value === "number" ? value === wanted : String(value) === parts[3];
    return { "<": value < wanted, ">": value > wanted, "<=": value <= wanted, ">=": value >= wanted }[parts[2]];
  };
}

function filtered() {
  const tests = state.text.trim().split(/\s+/).filter(Boolean).map((word) => condition(word) ?? ((row) =>
    [row.id, row.role, row.name, row.recipe, row.state].join(" ").toLowerCase().includes(word.toLowerCase())));
  return rows.filter((row) => (!state.brush || state.brush.has(row.id)) && tests.every((test) => test(row)));
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// What all charts have in common; `more` is laid over it.
function layout(more) {
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line") };
  const base = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: colour("ink"), family: "system-ui, sans-serif" },
    margin: { l: 60, r: 15, t: 15, b: 50 }, hoverlabel: { align: "left" }, legend: { orientation: "h", y: -0.2 },
  };
  const merged = { ...base, ...more };
  for (const key of Object.keys(merged)) if (/^[xy]axis/.test(key)) merged[key] = { ...axis, ...merged[key] };
  return merged;
}

const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };

function escaped(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// A text in lines of a hover box.
function wrapped(text, width = 56) {
  const lines = [""];
  for (const word of String(text).split(" ")) {
    if (lines.at(-1) && lines.at(-1).length + word.length > width) lines.push(word);
    else lines[lines.length - 1] += (lines.at(-1) ? " " : "") + word;
  }
  return lines.map(escaped).join("<br>");
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // an older browser, or a page that may not: by way of a field
    const field = make("textarea", {});
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
}
