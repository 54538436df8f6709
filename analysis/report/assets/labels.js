"use strict";
// Puts names beside points so that no two of them overlap, nor leave the plot; a name without room is left to the hover box.
const LABEL = { size: 11, height: 18, distances: [14, 26, 42, 62, 86], angles: [135, 45, 90, 180, 0, 225, 315, 270, 110, 70, 160, 20] };

function textWidth(text) {
  textWidth.canvas ??= document.createElement("canvas").getContext("2d");
  textWidth.canvas.font = `${LABEL.size}px system-ui, sans-serif`;
  return textWidth.canvas.measureText(text).width + 8;
}

function meet(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

// Takes points {x, y, text} in pixels of a plot of this size, and marks {x, y} to keep clear of; returns of each point its
// box {left, right, top, bottom} and the offset {dx, dy} of the box's middle, or null where there is no room.
function placed(points, marks, width, height) {
  const taken = [];
  const clear = (mark) => ({ left: mark.x - 6, right: mark.x + 6, top: mark.y - 6, bottom: mark.y + 6 });
  const crowd = marks.map(clear);
  return points.map((point) => {
    const half = textWidth(point.text) / 2;
    let best = null;
    for (const distance of LABEL.distances) {
      for (const angle of LABEL.angles) {
        const turn = (angle * Math.PI) / 180;
        const dx = Math.cos(turn) * (distance + half * Math.abs(Math.cos(turn)));
        const dy = -Math.sin(turn) * distance;
        const [x, y] = [point.x + dx, point.y + dy];
        const box = { left: x - half, right: x + half, top: y - LABEL.height / 2, bottom: y + LABEL.height / 2 };
        if (box.left < 0 || box.right > width || box.top < 0 || box.bottom > height) continue;
        if (taken.some((other) => meet(box, other))) continue;
        const covered = crowd.filter((mark) => meet(box, mark)).length;
        if (!best || covered < best.covered) best = { box, dx, dy, covered };
        if (!covered) break;
      }
      if (best && !best.covered) break;
    }
    if (best) taken.push(best.box);
    return best;
  });
}
