"use strict";
// The charts below the table: growth of the hypervolume, parallel coordinates, slices, and learning curves.
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"];
const SCALES = { light: "Cividis", dark: [[0, "#5b6f9c"], [0.5, "#a8a890"], [1, "#ffe45c"]] };
const NOTHING = "–"; // of a parameter that was not asked for
const DASHES = ["solid", "dash", "dot", "dashdot"];
const proposals = rows.filter((row) => row.complete && row.role === "proposed");
const params = data.columns.filter((column) => column.key.startsWith("param.") && proposals.some((row) => row[column.key] !== null));

function drawGrowth() {
  const by = document.querySelector("[name=spent]:checked").value;
  const titles = { trials: "proposals that have ended", flops: "training FLOPs of all proposals so far" };
  const trace = {
    type: "scatter", mode: "lines", x: data.growth[by], y: data.growth.hypervolume, line: { shape: "hv", color: colour("proposed") },
    hovertemplate: "%{y:.4f} after %{x:.4s}<extra></extra>",
  };
  return Plotly.react("growth", [trace], layout({
    height: 320, showlegend: false, xaxis: { title: { text: titles[by] }, rangemode: "tozero" },
    yaxis: { title: { text: "robust accuracy × decades" }, rangemode: "tozero" },
  }), CONFIG);
}

// A column as numbers on an axis of parallel coordinates: words are numbered, and what a recipe does not have lies below.
function dimension(column, some) {
  const values = some.map((row) => row[column.key]);
  const there = values.filter((value) => value !== null && value !== undefined);
  const words = there.some((value) => typeof value !== "number");
  if (words) {
    const names = [...new Set(values.map((value) => (value == null ? NOTHING : String(value))))].sort();
    return { label: column.label, tickvals: names.map((_, place) => place), ticktext: names, values: values.map((value) => names.indexOf(value == null ? NOTHING : String(value))) };
  }
  const [low, high] = [Math.min(...there), Math.max(...there)];
  const below = low - 0.12 * (high - low || 1);
  const ticks = [...new Set([0, 0.25, 0.5, 0.75, 1].map((part) => Number((low + part * (high - low)).toPrecision(3))))];
  const missing = there.length < values.length;
  return {
    label: column.label, range: [missing ? below : low, high === low ? low + 1 : high], values: values.map((value) => value ?? below),
    tickvals: missing ? [below, ...ticks] : ticks, ticktext: [...(missing ? [NOTHING] : []), ...ticks.map((value) => written(column.key, value))],
  };
}

function brushed(dimensions) {
  const tests = dimensions.filter((one) => one.constraintrange).map((one) => {
    const ranges = Array.isArray(one.constraintrange[0]) ? one.constraintrange : [one.constraintrange];
    return (place) => ranges.some(([low, high]) => one.values[place] >= low && one.values[place] <= high);
  });
  if (!tests.length) return null;
  return new Set(proposals.filter((_, place) => tests.every((test) => test(place))).map((row) => row.id));
}

function drawParallel() {
  const chosen = [...params, columns.get("train_flops"), columns.get("clean_accuracy"), columns.get("robust_accuracy")].filter(Boolean);
  const decades = proposals.map((row) => ({ decades: row.train_flops > 0 ? Math.log10(row.train_flops) : null }));
  const dimensions = chosen.map((column) => (column.key === "train_flops"
    ? dimension({ key: "decades", label: "log10 FLOPs" }, decades) : dimension(column, proposals)));
  // What is brushed stays so when the chart is drawn anew, as for another theme.
  (byPlace("parallel").data?.[0].dimensions ?? []).forEach((before, number) => {
    if (before.constraintrange) dimensions[number].constraintrange = before.constraintrange;
  });
  const width = Math.max(byPlace("parallel").parentElement.clientWidth, 95 * dimensions.length);
  const trace = {
    type: "parcoords", dimensions, labelfont: { size: 11 }, tickfont: { size: 10, color: colour("ink") }, rangefont: { size: 1, color: "rgba(0,0,0,0)" },
    line: { color: proposals.map((row) => row.robust_accuracy), colorscale: SCALES[document.documentElement.dataset.theme], showscale: true, colorbar: { title: { text: "robust" }, thickness: 10 } },
  };
  return Plotly.newPlot("parallel", [trace], layout({ height: 380, width, margin: { l: 60, r: 60, t: 45, b: 25 } }), { ...CONFIG, responsive: false })
    .then((drawn) => drawn.on("plotly_restyle", () => change({ brush: brushed(drawn.data[0].dimensions) })));
}

function drawMatters() {
  const goals = Object.entries(data.importances);
  const names = Object.entries(goals[0][1]).sort((one, other) => one[1] - other[1]).map(([name]) => name);
  const traces = goals.map(([goal, found], number) => ({
    type: "bar", orientation: "h", name: escaped(goal === "frontier" ? "being on the frontier" : columns.get(goal)?.label ?? goal), y: names.map(escaped),
    x: names.map((name) => found[name] ?? 0), marker: { color: PALETTE[number % PALETTE.length], pattern: { shape: ["", "/", ".", "x"][number % 4] } },
    hovertemplate: "%{y}: %{x:.2f}<extra>%{fullData.name}</extra>",
  })).reverse();
  const height = 90 + 16 * names.length * goals.length;
  return Plotly.react("matters", traces, layout({
    height, barmode: "group", xaxis: { range: [0, 1], title: { text: "importance" } }, yaxis: { automargin: true },
    legend: { traceorder: "reversed", orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { l: 60, r: 15, t: 40, b: 45 },
  }), CONFIG);
}

function drawSlices() {
  const wide = byPlace("slices").clientWidth;
  const across = wide > 900 ? 4 : wide > 560 ? 3 : 2;
  const some = filtered().filter((row) => row.complete && row.role === "proposed");
  const down = Math.ceil(params.length / across);
  const more = { height: 210 * down + 40, showlegend: false, grid: { rows: down, columns: across, pattern: "independent", ygap: 0.35 } };
  const traces = params.map((column, number) => {
    const here = some.filter((row) => row[column.key] !== null && row[column.key] !== undefined);
    const suffix = number ? String(number + 1) : "";
    const words = here.some((row) => typeof row[column.key] !== "number");
    const kind = words ? { type: "category", categoryorder: "category ascending" } : {};
    more[`xaxis${suffix}`] = { title: { text: column.label, font: { size: 12 } }, tickfont: { size: 10 }, nticks: 5, ...kind };
    more[`yaxis${suffix}`] = { tickfont: { size: 10 }, matches: number ? "y" : undefined, title: number % across ? undefined : { text: "robust", font: { size: 12 } } };
    return {
      type: "scatter", mode: "markers", xaxis: `x${suffix}`, yaxis: `y${suffix}`, x: here.map((row) => row[column.key]), y: here.map((row) => row.robust_accuracy),
      hovertext: here.map(hoverText), hoverinfo: "text", customdata: here.map((row) => row.id),
      marker: { color: here.map((row) => (row.on_frontier ? colour("pinned") : colour("proposed"))), size: 6, opacity: 0.75 },
    };
  });
  return Plotly.react("slices", traces, layout(more), CONFIG).then((drawn) => {
    drawn.removeAllListeners("plotly_click");
    drawn.on("plotly_click", (event) => change({ pinned: event.points[0].customdata }));
  });
}

function drawCurves() {
  const ids = [...state.chosen, ...(state.pinned && data.curves[state.pinned] && !state.chosen.has(state.pinned) ? [state.pinned] : [])];
  const traces = ids.filter((id) => data.curves[id]).map((id, number) => ({
    type: "scatter", mode: "lines+markers", name: escaped(byId.get(id).name ?? id.slice(0, 8)), x: data.curves[id].epoch, y: data.curves[id].robust_accuracy,
    hovertext: wrapped(titleOf(byId.get(id))), hovertemplate: "%{hovertext}<br>epoch %{x}: %{y:.3f}<extra></extra>",
    line: { color: PALETTE[number % PALETTE.length], dash: DASHES[Math.floor(number / PALETTE.length) % DASHES.length], width: id === state.pinned ? 3.5 : 1.5 },
  }));
  return Plotly.react("curves", traces, layout({
    height: 400, xaxis: { title: { text: "epoch" } }, yaxis: { title: { text: "robust accuracy, quick attack" } },
    legend: { orientation: "h", y: -0.3 }, // below the axis' title on a phone too, where it has many lines
  }), CONFIG);
}

// Each chart is drawn once it comes into view, so that the page is there at once.
function whenSeen(id, draw, names) {
  const place = byPlace(id);
  if (!place) return;
  let seen = false;
  const show = () => {
    watching.disconnect();
    if (!seen) draw();
    seen = true;
  };
  const watching = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) show();
  }, { rootMargin: "300px" });
  watching.observe(place);
  addEventListener("beforeprint", show);
  onChange(names, () => seen && draw());
}

function startCharts() {
  const members = rows.filter((row) => (row.on_frontier || row.id === data.reference) && data.curves[row.id]);
  state.chosen = new Set(members.slice(0, PALETTE.length).map((row) => row.id));
  for (const radio of document.querySelectorAll("[name=spent]")) radio.addEventListener("change", drawGrowth);
  whenSeen("growth", drawGrowth, ["theme"]);
  whenSeen("parallel", drawParallel, ["theme"]);
  whenSeen("matters", drawMatters, ["theme"]);
  whenSeen("slices", drawSlices, ["text", "brush", "theme"]);
  whenSeen("curves", drawCurves, ["chosen", "pinned", "theme"]);
}
