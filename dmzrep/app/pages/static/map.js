const canvas = byId("canvas");
const card = byId("card");
const mosaic = new Mosaic(canvas, arrayOf(Uint16Array, data.cells), data.size, thumbs, () => {});
if (data.places) {
  mosaic.places = { nSide: data.places.n_side, index: arrayOf(Int16Array, data.places.index), sprites: placeSprites };
}
let switcher = null;

byId("summary").textContent = `${count(data.n, "picture")} · ${data.latent_dim} bits`;

// Selection

function placeOf(i) {
  return mosaic.view && i >= 0 ? mosaic.placeAt(...mosaic.position(i)) : -1;
}

function select(i, flies = false, place = placeOf(i)) {
  mosaic.selected = i;
  mosaic.neighbors = i < 0 ? [] : neighborsOf(i);
  mosaic.pinned = new Set(i < 0 ? [] : [i, ...mosaic.neighbors]);
  mosaic.build();
  if (i < 0) {
    showIntroduction();
    return;
  }
  showSelected(i, place, select);
  byId("panel").scrollTop = 0;
  const e = switcher ? switcher.info.exemplars.indexOf(i) : -1;
  if (e >= 0) switcher.choose(e);
  if (flies) mosaic.flyTo(i);
}

// The card that follows the pointer

function hover(x, y) {
  const hit = x === null ? { index: -1 } : mosaic.at(x, y);
  const place = x === null ? -1 : mosaic.placeAt(x, y);
  const isDecoded = Boolean(mosaic.showsPlaces);
  let { index } = hit;
  if (isDecoded) index = place >= 0 ? mosaic.nearest(x, y) : -1;
  canvas.classList.toggle("over", index >= 0);
  if (mosaic.hovered !== index) {
    mosaic.hovered = index;
    mosaic.requestDraw();
  }
  card.hidden = index < 0 && place < 0;
  if (card.hidden) return;
  const content = `${index} ${place} ${isDecoded}`;
  if (card.dataset.content !== content) {
    card.dataset.content = content;
    fillCard(index, place, hit.many, isDecoded);
  }
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  const left = x + 22 + width > mosaic.width ? x - width - 22 : x + 22;
  const top = Math.max(8, Math.min(mosaic.height - height - 8, y - height / 2));
  card.style.transform = `translate(${Math.max(8, left)}px, ${top}px)`;
}

function fillCard(index, place, many, isDecoded) {
  const row = element("div", { className: "row" });
  const size = place >= 0 && index >= 0 ? 96 : 132;
  const decoded = place >= 0 ? figureOf(placeCanvas(place, isDecoded ? 132 : size), "decoded here") : null;
  const picture = index >= 0 ? figureOf(pictureCanvas(index, isDecoded ? 64 : size), isDecoded ? "nearest" : "picture") : null;
  row.append(...[isDecoded ? decoded : picture, isDecoded ? picture : decoded].filter(Boolean));
  const bits = index >= 0 && !isDecoded ? codes.bits(index) : placeCodes && place >= 0 ? placeCodes.bits(place) : null;
  if (bits) row.append(figureOf(codePicture(bits, null, 60), "code"));
  card.replaceChildren(row);
  if (index >= 0) {
    card.append(pathText(data.files.path[index]));
    const notes = describe(index).map(([, value]) => value);
    if (!isDecoded && many > 1) notes.push(`${(many - 1).toLocaleString("en")} more here`);
    card.append(element("div", { className: "quiet" }, notes.join(" · ")));
  }
}

attachGestures(mosaic, hover, (x, y) => {
  const place = mosaic.placeAt(x, y);
  if (mosaic.showsPlaces) select(place >= 0 ? mosaic.nearest(x, y) : -1, false, place);
  else select(mosaic.at(x, y).index);
});
byId("zoom-in").onclick = () => mosaic.zoom(1.5);
byId("zoom-out").onclick = () => mosaic.zoom(1 / 1.5);
byId("zoom-fit").onclick = () => mosaic.fit();

// Colours

const chooser = byId("colour");
const legend = byId("legend");
chooser.append(element("option", { value: "" }, "none"), ...scales.map((s) => element("option", { value: s.name }, s.name)));
chooser.onchange = () => colourBy(chooser.value);

function colourBy(name) {
  const scale = scales.find((s) => s.name === name);
  legend.hidden = !scale;
  legend.replaceChildren();
  mosaic.isMember = null;
  mosaic.colourOf = null;
  if (scale && scale.kind === "category") {
    const colours = scale.names.map((_, k) => categoryColour(k, scale.names.length));
    mosaic.colourOf = (i) => colours[scale.values[i]];
    legend.append(...scale.names.map((text, k) => legendItem(scale, text, k, colours[k])));
  } else if (scale) {
    const ranks = Array.from({ length: 256 }, (_, rank) => rankColour(rank));
    mosaic.colourOf = (i) => ranks[scale.values[i]];
    const ramp = [0, 64, 128, 160, 192, 224, 255].map((rank) => `${ranks[rank]} ${Math.round(rank / 2.55)}%`);
    legend.append(element("div", { className: "ramp", style: `background: linear-gradient(90deg, ${ramp.join(", ")})` }),
      element("div", { className: "ends" }, element("span", {}, "common"), element("span", {}, "rare")));
  }
  mosaic.build();
}

function legendItem(scale, text, k, colour) {
  const swatch = element("i", {});
  swatch.style.background = colour;
  const item = element("button", { type: "button", className: "item" }, swatch, element("span", {}, text),
    element("small", {}, scale.counts[k].toLocaleString("en")));
  item.setAttribute("aria-pressed", "false");
  item.onclick = () => {
    const isOn = item.getAttribute("aria-pressed") === "true";
    for (const other of legend.children) other.setAttribute("aria-pressed", "false");
    item.setAttribute("aria-pressed", String(!isOn));
    mosaic.isMember = isOn ? null : (i) => scale.values[i] === k;
    mosaic.build();
  };
  return item;
}

// Pictures or decoded places

const views = { pictures: byId("show-pictures"), decoded: byId("show-decoded") };
function showView(name) {
  mosaic.showsPlaces = name === "decoded";
  for (const [key, button] of Object.entries(views)) button.setAttribute("aria-pressed", String(key === name));
  mosaic.requestDraw();
}
views.pictures.onclick = () => showView("pictures");
views.decoded.onclick = () => showView("decoded");
if (!data.places) {
  views.decoded.disabled = true;
  views.decoded.title = data.no_decoder;
}

// Search

const search = byId("search");
const matches = byId("matches");
const lowerPaths = data.files.path.map((path) => path.normalize().toLowerCase());
const MOST_MATCHES = 8;
let current = 0;

function findPaths() {
  const words = search.value.normalize().toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  if (words.length) lowerPaths.forEach((path, i) => { if (words.every((word) => path.includes(word))) found.push(i); });
  current = 0;
  matches.hidden = !words.length;
  search.setAttribute("aria-expanded", String(!matches.hidden));
  const items = found.slice(0, MOST_MATCHES).map((i, k) => {
    const item = element("li", { className: "match", id: `match-${k}`, role: "option" }, pictureCanvas(i, 34), element("span", {}, data.files.path[i]));
    item.onpointerdown = (event) => { event.preventDefault(); choose(i); };
    item.dataset.row = i;
    return item;
  });
  const note = found.length > MOST_MATCHES ? `${(found.length - MOST_MATCHES).toLocaleString("en")} more` : found.length ? "" : "No matching path.";
  matches.replaceChildren(...items, ...(note ? [element("li", { className: "note" }, note)] : []));
  repaintPictures();
  markCurrent();
}

function markCurrent() {
  const items = [...matches.querySelectorAll(".match")];
  items.forEach((item, k) => item.setAttribute("aria-selected", String(k === current)));
  if (items.length && !matches.hidden) search.setAttribute("aria-activedescendant", `match-${current}`);
  else search.removeAttribute("aria-activedescendant");
}

function choose(i) {
  matches.hidden = true;
  search.setAttribute("aria-expanded", "false");
  search.blur();
  if (mosaic.showsPlaces) showView("pictures");
  select(i, true);
}

search.oninput = findPaths;
search.onfocus = () => { if (search.value) findPaths(); };
search.onblur = () => { matches.hidden = true; };
search.onkeydown = (event) => {
  const items = [...matches.querySelectorAll(".match")];
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    current = (current + (event.key === "ArrowDown" ? 1 : -1) + items.length) % Math.max(1, items.length);
    markCurrent();
  } else if (event.key === "Enter" && items[current]) choose(Number(items[current].dataset.row));
  else if (event.key === "Escape") search.blur();
};
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.activeElement !== search) select(-1);
  if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) {
    event.preventDefault();
    search.focus();
  }
});

// Start: first the small thumbnails, then the sheets at the end of the file

showIntroduction();
new ResizeObserver(() => mosaic.resize()).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => mosaic.requestDraw());
const redraw = () => { mosaic.requestDraw(); repaintPictures(); };
mosaic.resize();
const overview = thumbs[0].load(redraw).then(() => { mosaic.draw(); performance.mark("first-map"); });

async function loadRest() {
  await overview;
  if (data.bits) {
    switcher = new BitSwitcher(byId("bits"), data.bits, codes, data.files.path, paintPicture);
    await switcher.load();
  } else byId("bits").remove();
  if (placeSprites) await placeSprites.load(redraw);
  if (thumbs[1]) await thumbs[1].load(redraw);
  if (switcher) switcher.show();
  document.documentElement.dataset.loaded = "true";
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", loadRest);
else loadRest();
