"use strict";
// Images under attack: those of the pinned recipe beside the reference's.
async function pixelsOf(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// One image of a sheet as a canvas; `value` gives a colour's value of its place among the sheet's bytes.
function tile(sheet, number, value, words) {
  const width = sheet.width / data.images.count;
  const canvas = make("canvas", { width, height: sheet.height, role: "img", "aria-label": words });
  const drawn = new ImageData(width, sheet.height);
  for (let y = 0; y < sheet.height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let part = 0; part < 4; part += 1) {
        const place = 4 * (y * sheet.width + number * width + x) + part;
        drawn.data[4 * (y * width + x) + part] = part === 3 ? 255 : value(place);
      }
    }
  }
  canvas.getContext("2d").putImageData(drawn, 0, 0);
  return canvas;
}

async function attackedTable(id) {
  const { clean, factor, labels, names, of } = data.images;
  const named = (number) => names[number] ?? String(number);
  const [before, changes] = await Promise.all([pixelsOf(clean), pixelsOf(of[id].changes)]);
  const all = labels.map((_, number) => number);
  const line = (heading, cells) => make("tr", {}, make("th", { scope: "row" }, heading), ...cells.map((cell) => make("td", {}, cell)));
  const pictures = (heading, value) => line(heading, all.map((number) => tile(before, number, value, `image ${number + 1} ${heading}`)));
  const answers = (heading, some) => line(heading, some.map((answer, number) => (answer === labels[number] ? named(answer) : make("strong", {}, `${named(answer)} ✗`))));
  const after = (place) => (before.data[place] + changes.data[place]) & 255;
  return make("table", { class: "tiles" },
    pictures("as it is", (place) => before.data[place]), pictures("under attack", after),
    pictures(`change × ${factor}`, (place) => 128 + factor * (after(place) - before.data[place])),
    line("class", labels.map(named)), answers("answer", of[id].answers), answers("answer under attack", of[id].attacked_answers));
}

async function showAttacked(place, heading, id) {
  const content = id in data.images.of ? make("div", { class: "wide" }, await attackedTable(id))
    : make("p", { class: "note" }, "Of this recipe the page holds no images under attack: they are kept of the frontier and of what was fixed by hand, as far as there is room.");
  if (place.dataset.id !== id) return; // another recipe was pinned meanwhile
  place.replaceChildren(make("h3", {}, heading), content);
}

function drawAttacked(name, id) {
  const place = byPlace(name);
  const row = byId.get(id);
  place.dataset.id = id ?? "";
  if (!row) place.replaceChildren(make("p", { class: "note" }, "Pin a recipe to see what the attack does to it."));
  else showAttacked(place, titleOf(row), id);
}

function startAttacked() {
  if (!data.images) return;
  drawAttacked("attacked-reference", data.reference);
  drawAttacked("attacked", state.pinned);
  onChange(["pinned"], () => drawAttacked("attacked", state.pinned));
}
