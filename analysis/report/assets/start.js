"use strict";
// Light or dark, as the system has it until it is chosen here; then everything is drawn.
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byPlace("theme").textContent = theme === "dark" ? "light" : "dark";
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => { setTheme(dark.matches ? "dark" : "light"); change({ theme: true }); });
  byPlace("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    change({ theme: true });
  });
}

startTheme();
startEpsilons();
if (rows.length) {
  startCharts();
  startFrontier();
  startPinned();
  startAttacked();
  startTable();
}
