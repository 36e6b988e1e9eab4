const codes = new Codes(data.codes, data.latent_dim);
const neighborRows = arrayOf(Uint32Array, data.neighbors);
const neighborsOf = (i) => Array.from(neighborRows.subarray(i * data.n_neighbors, (i + 1) * data.n_neighbors));
const thumbs = data.thumbs.map((info, level) => new Sprites(info, `thumbs-${level}`));

/** Draw a picture into a canvas, in the best size that has been decoded. */
function paintPicture(canvas, i) {
  const best = [...thumbs].reverse().find((sprites) => sprites.has(i));
  if (best) best.paint(canvas, i);
}

/** Canvases to repaint when better pictures arrive. */
const painted = new Map();
function pictureCanvas(i, size) {
  const canvas = squareCanvas(size, data.files.path[i]);
  painted.set(canvas, i);
  paintPicture(canvas, i);
  return canvas;
}
function repaintPictures() {
  for (const [canvas, i] of painted) {
    if (canvas.isConnected) paintPicture(canvas, i);
    else painted.delete(canvas);
  }
}

/** Ways to colour the map, with names of categories, or ranks from 0 to 255. */
const scales = data.colours.map((scale) => ({
  ...scale,
  values: scale.kind === "category" ? arrayOf(Uint16Array, scale.index) : bytesOf(scale.values),
}));

function categoryColour(k, n) {
  const few = ["#4c78dd", "#e8833a", "#3fa66b", "#d9534f", "#8e6bd1", "#c9a227", "#e377b4", "#2fb0c2", "#a0785a", "#7a8794"];
  return n <= few.length ? few[k] : `hsl(${Math.round((k * 137.508 + 225) % 360)} ${46 + (k % 3) * 8}% ${52 + (k % 2) * 9}%)`;
}

function rankColour(rank) {
  const stops = [[75, 110, 165], [226, 190, 90], [222, 70, 50]];
  // The rarest tenth gets most of the range: the common ones look alike.
  const t = 2 * (rank / 255) ** 2.5;
  const [from, to] = t < 1 ? [stops[0], stops[1]] : [stops[1], stops[2]];
  return `rgb(${from.map((c, k) => Math.round(c + (to[k] - c) * (t < 1 ? t : t - 1))).join(" ")})`;
}

function describe(i) {
  return scales.map((scale) => {
    const value = scale.values[i];
    if (scale.kind === "category") return [scale.name, scale.names[value]];
    const share = Math.round((100 * value) / 255);
    return [scale.name, share >= 50 ? `rarer than ${Math.min(99, share)} % of pictures` : `more common than ${100 - share} % of pictures`];
  });
}

const placeCodes = data.places && new Codes(data.places.codes, data.latent_dim);
const placeSprites = data.places && new Sprites(data.places.sprites, "places");

function placeCanvas(place, size) {
  const canvas = squareCanvas(size, "Decoded picture of this place");
  placeSprites.paint(canvas, place);
  return canvas;
}

/** Fill the panel with one picture and its neighbours. */
function showSelected(i, place, select) {
  const section = byId("selected");
  const { files } = data;
  const head = element("div", { className: "head" }, figureOf(pictureCanvas(i, 150), "picture"));
  if (place >= 0) head.append(figureOf(placeCanvas(place, 150), "decoded here"));
  const size = `${files.width[i]} × ${files.height[i]}, ${files.format[i]}, ${fileSize(files.bytes[i])}`;
  const near = element("div", { className: "near" });
  for (const j of neighborsOf(i)) {
    const bits = codes.distance(i, j);
    const canvas = pictureCanvas(j, 84);
    canvas.removeAttribute("style");
    const button = element("button", { type: "button", title: files.path[j] }, canvas,
      element("small", {}, bits === 0 ? "same code" : count(bits, "bit")));
    button.onclick = () => select(j, true);
    near.append(button);
  }
  const copy = element("button", { type: "button" }, "Copy code");
  copy.onclick = () => copyText(codes.hex(i), copy);
  section.replaceChildren(
    head,
    pathBlock(files.path[i]),
    facts([["size", size], ...describe(i)]),
    element("div", { className: "coded" }, codePicture(codes.bits(i), null, 80),
      element("div", {}, element("div", { className: "hex" }, codes.hex(i)), element("div", { className: "links" }, copy))),
    element("h3", { className: "near-title" }, "Nearest pictures"),
    element("p", { className: "quiet" }, "with the number of bits in which their codes differ"),
    near,
  );
}

function showIntroduction() {
  const lines = [
    "Point at a picture to see its path and its code. Click it to see the pictures nearest to it.",
    "Zoom with the wheel or two fingers: tiles split until every picture is shown.",
  ];
  if (data.places) lines.push("“Decoded” shows what the model draws for each place, from the mean code of the pictures around it. After a short training, that is colour and layout rather than objects.");
  byId("selected").replaceChildren(
    element("h2", {}, "Images by similarity"),
    ...lines.map((line) => element("p", { className: "quiet", style: "margin-bottom: 8px" }, line)),
  );
  if (data.no_decoder) byId("selected").append(element("p", { className: "notice", id: "no-decoder" }, data.no_decoder));
}
