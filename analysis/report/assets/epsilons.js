"use strict";
// Accuracy by epsilon of what was confirmed: a line is the mean over an entry's seeds, the band one standard deviation.
const PARTS = { pick: "solid", against: "dash", opponent: "dot" };

function band(curve, colour) {
  const [high, low] = [1, -1].map((sign) => curve.means.map((mean, place) => mean + sign * curve.spreads[place]));
  return {
    type: "scatter", mode: "lines", x: [...curve.epsilons, ...[...curve.epsilons].reverse()], y: [...high, ...low.reverse()],
    fill: "toself", fillcolor: colour, opacity: 0.15, line: { width: 0 }, hoverinfo: "skip", showlegend: false,
  };
}

function drawEpsilons(confirmation) {
  const traces = confirmation.curves.flatMap((curve, number) => {
    const colour = PALETTE[number % PALETTE.length];
    const line = {
      type: "scatter", mode: "lines+markers", name: escaped(curve.name), x: curve.epsilons, y: curve.means, line: { color: colour, dash: PARTS[curve.part] },
      text: curve.epsilons.map((_, place) => (curve.spreads.length ? ` ± ${written("accuracy", curve.spreads[place])}` : "")),
      hovertemplate: "%{y:.3f}%{text}<extra>%{fullData.name}</extra>",
    };
    return curve.spreads.length ? [band(curve, colour), line] : [line];
  });
  const threat = { type: "line", x0: confirmation.epsilon, x1: confirmation.epsilon, yref: "paper", y0: 0, y1: 1, line: { color: colour("outside"), width: 1 } };
  return Plotly.react(`epsilons-${confirmation.number}`, traces, layout({
    height: 420, shapes: [threat], hovermode: "x unified", hoverdistance: -1, xaxis: { title: { text: confirmation.words }, rangemode: "tozero", unifiedhovertitle: { text: "ε %{x:.4g}" } }, yaxis: { title: { text: "accuracy, test split" }, range: [0, 1] },
    annotations: [{ x: confirmation.epsilon, xanchor: "left", yref: "paper", y: 1, yanchor: "top", showarrow: false, text: "ε of the threat model", font: { color: colour("soft"), size: 11 } }],
  }), CONFIG);
}

function startEpsilons() {
  for (const one of data.epsilons) whenSeen(`epsilons-${one.number}`, () => drawEpsilons(one), ["theme"]);
}
