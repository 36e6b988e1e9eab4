const codes = new Codes(data.codes, data.latent_dim);
/** Position of a row of the collection among the pictures of this page. */
const positionOf = new Map(data.rows.map((row, k) => [row, k]));
const at = (row) => positionOf.get(row);
const pathOf = (row) => data.files.path[at(row)];
const sourceOf = (row) => `data:image/webp;base64,${data.thumbs[at(row)]}`;

function picture(row, size = 120) {
  const image = element("img", { className: "picture", src: sourceOf(row), alt: pathOf(row), loading: "lazy", width: size, height: size });
  return image;
}

const sizeOf = (row) => {
  const k = at(row);
  return `${data.files.width[k]} × ${data.files.height[k]}, ${data.files.format[k]}, ${fileSize(data.files.bytes[k])}`;
};

/** Sections of the page, with a table of contents. */
function section(id, title, note, ...children) {
  const node = element("section", { id }, element("h2", {}, title), note && element("p", { className: "note quiet" }, note), ...children);
  byId("report").append(node);
  byId("contents").append(element("a", { href: `#${id}` }, title));
  return node;
}

/** Show the first items, and the others on request, so that long pages open fast. */
function showInSteps(container, items, make, step) {
  let shown = 0;
  const more = element("button", { type: "button", className: "more" });
  const next = () => {
    container.append(...items.slice(shown, shown + step).map(make));
    shown = Math.min(items.length, shown + step);
    const left = items.length - shown;
    more.textContent = left > step ? `Show ${step} of ${left} more` : `Show ${left} more`;
    more.hidden = left === 0;
  };
  more.onclick = next;
  next();
  return more;
}

const TIERS = {
  same_bytes: ["Same bytes", "Files that are equal byte for byte."],
  same_picture: ["Same picture", "Copies that were compressed, resized, cropped, rotated or brightened."],
  similar: ["Similar", "Different pictures that look alike; these are not copies."],
};

function tierSection(tier) {
  const [title, meaning] = TIERS[tier.tier];
  const isCopy = tier.tier !== "similar";
  let note = `${meaning} ${tier.n_groups ? `${count(tier.n_groups, "group")} with ${count(tier.n_pictures, "picture")}` : "None found"}`;
  if (tier.n_groups && isCopy) note += `; keeping one of each group would free ${fileSize(tier.bytes)}`;
  note += ".";
  if (tier.tier !== "same_bytes" && tier.threshold !== null) {
    note += ` Largest distance ${number(tier.threshold)}${isCopy ? ", calibrated on edited copies" : ""}`;
    note += tier.false_pairs === null || !isCopy ? "." : `; expected number of false pairs ${number(tier.false_pairs)}.`;
  }
  const list = element("div", { className: "groups" });
  const more = showInSteps(list, tier.groups, (group) => groupCard(group, tier.tier), 12);
  const node = section(tier.tier.replace("_", "-"), title, note, list, more);
  if (tier.n_groups > tier.groups.length) {
    node.append(element("p", { className: "quiet" }, `The page shows the ${tier.groups.length} smallest groups; the DataFrame of collection.duplicates() has all ${tier.n_groups.toLocaleString("en")}.`));
  }
}

const number = (value) => (Number.isInteger(value) ? String(value) : value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : Number(value.toPrecision(3)).toString());

function groupCard(group, tier) {
  const [keeper] = group.rows;
  const members = group.rows.map((row, k) => {
    const image = picture(row);
    const isFirst = k === 0;
    const isSame = group.tiers[k] === "same_bytes";
    const text = isSame ? "same bytes" : `distance ${number(group.distance[k])}${group.mirrored[k] ? ", mirrored" : ""}`;
    const label = element("span", { className: isFirst && tier !== "similar" ? "tag keep" : "tag" },
      !isFirst ? text : tier === "similar" ? "reference" : "suggested to keep");
    const pictures = element("div", { className: "pair" }, image);
    const caption = element("p", { className: "quiet small" });
    if (!isFirst && !isSame) {
      const canvas = element("canvas", { className: "picture difference" });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", "Difference from the first picture");
      pictures.append(figureOf(canvas, "difference"));
      const bits = codes.distance(at(keeper), at(row));
      const reference = new Image();
      reference.src = sourceOf(keeper);
      const own = new Image();
      own.src = sourceOf(row);
      Promise.all([reference.decode(), own.decode()]).then(() => {
        caption.textContent = `${bits === 0 ? "same code" : `${count(bits, "bit")} differ`}; ${drawDifference(canvas, reference, own, group.mirrored[k])}`;
      });
      if (bits) pictures.append(figureOf(codePicture(codes.bits(at(row)), codes.bits(at(keeper)), 56), "bits"));
    }
    return element("article", { className: "member" }, label, pictures, element("p", { className: "small" }, sizeOf(row)), caption, pathBlock(pathOf(row)));
  });
  const card = element("div", { className: "group" }, ...members);
  if (group.more.length) {
    card.append(element("details", {}, element("summary", {}, `${group.more.length} more`), ...group.more.map(pathBlock)));
  }
  return card;
}

function tile(row, note) {
  return element("figure", { className: "tile" }, picture(row, 120), element("figcaption", {}, note, pathBlock(pathOf(row))));
}

const KINDS = {
  rare: ["Rare", "Their codes are the least probable under the model of all codes."],
  flat: ["Flat", "Pictures of nearly one colour."],
  dark: ["Dark", "Pictures that are nearly black."],
  bright: ["Bright", "Pictures that are nearly white."],
};

function outlierSection() {
  const parts = data.outliers.flatMap((kind) => {
    const [title, meaning] = KINDS[kind.kind] || [kind.kind, ""];
    const total = kind.kind === "rare" ? "" : ` ${count(kind.n, "picture")}.`;
    const tiles = element("div", { className: "tiles" });
    const more = showInSteps(tiles, kind.rows.map((row, k) => [row, kind.score[k]]), ([row, score]) => tile(row, element("span", {}, kind.kind === "rare" ? `${number(score)} bits of information` : `standard deviation of grey levels ${number(score)}`)), 12);
    return [element("h3", {}, title), element("p", { className: "quiet" }, meaning + total), tiles, more];
  });
  section("outliers", "Outliers", data.outliers.length ? "The rarest pictures, and apart from them pictures with little in them." : "None found.", ...parts);
}

function clusterSection() {
  const list = element("div", { className: "clusters" });
  const more = showInSteps(list, data.clusters, (cluster) => {
    const row = element("div", { className: "strip" }, ...cluster.rows.map((r, k) => {
      const image = picture(r, 72);
      image.title = pathOf(r);
      if (k === 0) image.classList.add("centre");
      return image;
    }));
    return element("div", { className: "cluster" }, element("p", {}, element("b", {}, cluster.name), element("span", { className: "quiet" }, ` ${count(cluster.n, "picture")}`)), row);
  }, 10);
  section("clusters", "Clusters", `${count(data.n_clusters, "cluster")} of similar codes; the centre first, then the pictures nearest to it.`, list, more);
}

function unreadableSection() {
  if (!data.unreadable.length) return;
  const table = element("table", {}, element("tbody", {}, ...data.unreadable.map(([path, reason]) =>
    element("tr", {}, element("td", {}, pathText(path)), element("td", {}, reason)))));
  section("unreadable", "Unreadable", `${count(data.unreadable.length, "file")} could not be read and ${data.unreadable.length === 1 ? "is" : "are"} not part of the collection.`, table);
}

function overview() {
  const copies = data.tiers.slice(0, 2);
  const cells = [
    [data.n.toLocaleString("en"), data.n === 1 ? "picture" : "pictures"],
    [fileSize(data.total_bytes), Object.entries(data.formats).map(([name, n]) => `${n.toLocaleString("en")} ${name}`).join(", ")],
    [String(copies.reduce((sum, tier) => sum + tier.n_pictures - tier.n_groups, 0)), `surplus copies, ${fileSize(copies.reduce((sum, tier) => sum + tier.bytes, 0))}`],
    [String(data.n_clusters), data.n_clusters === 1 ? "cluster" : "clusters"],
    [String(data.unreadable.length), `unreadable ${data.unreadable.length === 1 ? "file" : "files"}`],
  ];
  byId("report").append(element("div", { className: "overview" }, ...cells.map(([value, name]) =>
    element("div", {}, element("b", {}, value), element("span", { className: "quiet" }, name)))));
}

byId("summary").textContent = `${count(data.n, "picture")} · ${data.latent_dim} bits`;
if (data.map) byId("summary").append(" · ", element("a", { href: data.map }, "map of all pictures"));
overview();
data.tiers.forEach(tierSection);
outlierSection();
clusterSection();
let switcher = null;
if (data.bits) {
  const container = element("div", { className: "bits-card" });
  section("bits", "Bits", "What single bits of the codes stand for: the model decodes the code as it is, and with one bit switched.", container);
  const images = new Map();
  const drawOriginal = async (canvas, row) => {
    if (!images.has(row)) {
      const image = new Image();
      image.src = sourceOf(row);
      images.set(row, image.decode().then(() => image));
    }
    canvas.dataset.row = row;
    const image = await images.get(row);
    if (canvas.dataset.row !== String(row)) return;
    const scale = canvas.width / Math.max(image.width, image.height);
    const [width, height] = [image.width * scale, image.height * scale];
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
  };
  switcher = new BitSwitcher(container, data.bits, codes, data.files.path, drawOriginal, at);
} else {
  section("bits", "Bits", null, element("p", { className: "notice", id: "no-decoder" }, data.no_decoder));
}
unreadableSection();

async function finish() {
  if (switcher) await switcher.load();
  document.documentElement.dataset.loaded = "true";
}
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", finish);
else finish();
