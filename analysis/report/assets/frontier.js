"use strict";
// The frontier: robust accuracy against what it costs, by the chosen axis; a point that is clicked is pinned.
const chart = byPlace("frontier");
const ESTIMATED = "estimated_robust_accuracy";

function hoverText(row) {
  const lines = [wrapped(titleOf(row)), escaped(row.id)];
  const plus = (value, error) => `${written("accuracy", value)} ± ${written("accuracy", error)}`;
  lines.push(`robust ${plus(row.robust_accuracy, row.robust_accuracy_stderr)}, clean ${written("accuracy", row.clean_accuracy)}`);
  if (row[ESTIMATED] != null) lines.push(`estimated ${plus(row[ESTIMATED], row[`${ESTIMATED}_stderr`])}`);
  const share = (key) => (row[key] == null ? "" : ` (${written(key, row[key])})`);
  lines.push(`marginal ${written("flops", row.train_flops)} FLOPs${share("marginal_ratio")}`);
  lines.push(`end-to-end ${written("flops", row.end_to_end_flops)} FLOPs${share("end_to_end_ratio")}`);
  lines.push(`${written("inference_macs", row.inference_macs)} MACs${share("mac_ratio")}`);
  const chosen = data.columns.filter((column) => column.key.startsWith("param.") && row[column.key] != null);
  if (chosen.length) lines.push(wrapped(chosen.map((one) => `${one.label} ${written(one.key, row[one.key])}`).join(", ")));
  return lines.join("<br>");
}

function drawable() {
  return filtered().filter((row) => row.complete && row.role !== "base" && row[state.axis] > 0 && row.robust_accuracy !== null);
}

function marks(some, name, more, filled) {
  return {
    type: "scatter", mode: "markers", name, x: some.map((row) => row[state.axis]), y: some.map((row) => row.robust_accuracy),
    customdata: some.map((row) => row.id), hovertext: some.map(hoverText), hoverinfo: "text",
    error_y: { array: some.map((row) => row.robust_accuracy_stderr ?? 0), thickness: 0.7, width: 0, visible: state.bars },
    marker: { size: some.map((row) => (filled(row) ? 11 : 7)), ...more },
  };
}

function frontierTraces(some) {
  const traces = [];
  const line = (part, name, more) => traces.push({
    type: "scatter", mode: "lines", name, x: part.x, y: part.y, hoverinfo: "skip", line: { shape: "hv", width: 1.2, ...more },
  });
  const estimated = columns.has(ESTIMATED) ? "frontier, as estimated" : "frontier";
  if (data.frontier[state.axis].x.length) line(data.frontier[state.axis], estimated, { color: colour("soft") });
  if (data.baselines[state.axis].x.length > 1) line(data.baselines[state.axis], "baselines' frontier", { color: colour("baseline"), dash: "dot" });
  const groups = [
    ["proposed", "proposed", "circle"], ["grid", "grid", "square"], ["baseline", "baseline", "diamond"],
  ];
  for (const [role, name, symbol] of groups) {
    const all = some.filter((row) => row.role === role && (state.dominated || row.on_frontier || role === "baseline"));
    const inside = all.filter((row) => row.in_region || role === "baseline");
    const outside = all.filter((row) => !(row.in_region || role === "baseline"));
    const symbols = (part) => part.map((row) => (row.on_frontier || role === "baseline" ? symbol : `${symbol}-open`));
    if (inside.length) traces.push(marks(inside, name, { color: colour(role), symbol: symbols(inside) }, (row) => row.on_frontier));
    if (outside.length) traces.push(marks(outside, `${name}, outside`, { color: colour("outside"), symbol: symbols(outside) }, () => false));
  }
  const confirmed = some.filter((row) => row.confirmed_robust_accuracy != null);
  if (confirmed.length) {
    const trace = marks(confirmed, "confirmed, 95% interval", { color: colour("confirmed"), size: 13 }, () => true);
    trace.y = confirmed.map((row) => row.confirmed_robust_accuracy);
    trace.marker.symbol = confirmed.map((row) => (row.confirmed_reliable ? "star" : "star-open"));
    trace.error_y = {
      type: "data", symmetric: false, thickness: 1.2, width: 4, array: confirmed.map((row) => row.confirmed_high - row.confirmed_robust_accuracy),
      arrayminus: confirmed.map((row) => row.confirmed_robust_accuracy - row.confirmed_low),
    };
    traces.push(trace);
  }
  const pinned = some.find((row) => row.id === state.pinned);
  if (pinned) {
    traces.push({
      type: "scatter", mode: "markers", showlegend: false, hoverinfo: "skip", x: [pinned[state.axis]], y: [pinned.robust_accuracy],
      marker: { size: 20, symbol: "circle-open", color: colour("pinned"), line: { width: 2.5 } },
    });
  }
  return traces;
}

// The range of an axis that holds all values, with some room; of decades where it is logarithmic.
function spanOf(values, logarithmic) {
  const some = (logarithmic ? values.map(Math.log10) : values).filter(Number.isFinite);
  if (!some.length) return logarithmic ? [0, 1] : [0, 1];
  const [low, high] = [Math.min(...some), Math.max(...some)];
  const room = Math.max((high - low) * 0.07, logarithmic ? 0.1 : 0.02);
  return [low - room, high + room];
}

// What costs nothing, such as rounding without training, has no place on a logarithmic axis.
function nameFree() {
  const free = filtered().filter((row) => row.complete && row.role !== "base" && row[state.axis] === 0);
  byPlace("free").hidden = !free.length;
  byPlace("free").textContent = `Not in the chart, since it costs nothing: ${free.map((row) => row.name ?? row.id.slice(0, 8)).join(", ")}.`;
}

function drawFrontier() {
  nameFree();
  const some = drawable();
  const traces = frontierTraces(some);
  const ys = traces.filter((trace) => trace.mode === "markers").flatMap((trace) => [...trace.y]);
  const range = spanOf(ys.concat(data.frontier[state.axis].y), false);
  const shapes = [];
  if (data.least !== null) {
    shapes.push({
      type: "rect", xref: "paper", x0: 0, x1: 1, y0: Math.min(range[0], data.least), y1: data.least, layer: "below", line: { width: 0 },
      fillcolor: colour("outside"), opacity: 0.14,
    });
  }
  const drawn = Plotly.react(chart, traces, layout({
    // What is zoomed to stays while the axis and what is drawn are the same, as when a point is pinned.
    uirevision: JSON.stringify([state.axis, state.text, state.brush ? [...state.brush] : null]),
    height: 520, shapes, annotations: [], hovermode: "closest", dragmode: "pan", margin: { l: 65, r: 15, t: 34, b: 55 },
    xaxis: { type: "log", title: { text: data.axes[state.axis] }, range: spanOf(some.map((row) => row[state.axis]), true), exponentformat: "power", dtick: 1 },
    yaxis: { title: { text: `robust accuracy, ${data.attack}` }, range },
  }), CONFIG);
  return drawn.then(drawLabels);
}

// The names of baselines, what is pinned, and the region's edge.
function drawLabels() {
  const { xaxis, yaxis } = chart._fullLayout;
  const at = (row) => ({ x: xaxis.d2p(row[state.axis]), y: yaxis.d2p(row.robust_accuracy), text: row.name ?? "pinned", row });
  const within = (point) => point.x >= 0 && point.x <= xaxis._length && point.y >= 0 && point.y <= yaxis._length;
  const some = drawable();
  const named = some.filter((row) => row.role === "baseline" || row.id === state.pinned).map(at).filter(within);
  const shown = some.filter((row) => state.dominated || row.on_frontier || row.role === "baseline").map(at).filter(within);
  const places = placed(named, shown, xaxis._length, yaxis._length);
  const annotations = named.flatMap((point, number) => places[number] === null ? [] : [{
    x: Math.log10(point.row[state.axis]), y: point.row.robust_accuracy, ax: places[number].dx, ay: places[number].dy, text: escaped(point.text),
    font: { size: LABEL.size }, bgcolor: `${colour("ground")}cc`, arrowhead: 0, arrowwidth: 0.7, arrowcolor: colour("soft"), standoff: 5, borderpad: 1,
  }]);
  if (data.least !== null) {
    annotations.push({
      xref: "paper", x: 0.005, xanchor: "left", yref: "paper", y: 0.005, yanchor: "bottom", showarrow: false, font: { size: LABEL.size, color: colour("soft") },
      text: `below ${data.least.toFixed(3)}${xaxis._length > 420 ? ": outside the region that the study asks for" : ""}`,
    });
  }
  drawLabels.busy = true;
  return Plotly.relayout(chart, { annotations }).finally(() => { drawLabels.busy = false; });
}

// The keys ← and → walk over the recipes by what they cost.
function walk(step) {
  const some = drawable().filter((row) => state.dominated || row.on_frontier || row.role === "baseline").sort((one, other) => one[state.axis] - other[state.axis]);
  if (!some.length) return;
  const place = some.findIndex((row) => row.id === state.pinned);
  const next = place < 0 ? (step > 0 ? 0 : some.length - 1) : Math.min(Math.max(place + step, 0), some.length - 1);
  change({ pinned: some[next].id });
}

function startFrontier() {
  for (const radio of document.querySelectorAll("[name=axis]")) {
    radio.checked = radio.value === state.axis;
    radio.addEventListener("change", () => change({ axis: radio.value }));
  }
  for (const name of ["dominated", "bars"]) byPlace(name).addEventListener("change", (event) => change({ [name]: event.target.checked }));
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) walk(step);
    else if (event.key === "Escape") change({ pinned: null });
    else return;
    event.preventDefault();
  });
  drawFrontier().then(() => {
    chart.on("plotly_click", (event) => event.points[0].customdata && change({ pinned: event.points[0].customdata }));
    chart.on("plotly_relayout", () => drawLabels.busy || drawLabels());
  });
  onChange(["axis", "dominated", "bars", "text", "brush", "pinned", "theme"], drawFrontier);
}
