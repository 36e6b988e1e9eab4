const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** Return a new element; children that are strings become text, never markup. */
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "style" && name !== "role") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

const arrayOf = (Type, base64) => new Type(bytesOf(base64).buffer);

const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

function fileSize(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000;
  return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

/** Return the address of a file, or null if its name is not valid Unicode. */
function fileAddress(path) {
  try {
    const parts = path.replace(/\\/g, "/").split("/").map(encodeURIComponent);
    const start = /^[a-z]%3A$/i.test(parts[0]) ? `file:///${parts[0][0]}:` : `file://${parts[0]}`;
    return [start, ...parts.slice(1)].join("/");
  } catch {
    return null;
  }
}

async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1200);
}

/** Return a path in full that breaks after separators where it can. */
function pathText(path) {
  const node = element("div", { className: "path" });
  for (const part of path.split(/(?<=[/\\_-])/)) node.append(part, document.createElement("wbr"));
  return node;
}

/** Return a path in full, with links to copy it and to open the file. */
function pathBlock(path) {
  const copy = element("button", { type: "button", ariaLabel: "Copy the path" }, "Copy path");
  copy.onclick = (event) => { event.stopPropagation(); copyText(path, copy); };
  const address = fileAddress(path);
  const open = address && element("a", { href: address, target: "_blank", rel: "noopener" }, "Open file");
  return element("div", {}, pathText(path), element("div", { className: "links" }, copy, open));
}

const figureOf = (canvas, caption) => element("figure", { className: "figure" }, canvas, element("figcaption", {}, caption));

function facts(rows) {
  const list = element("dl", { className: "facts" });
  for (const [name, value] of rows) list.append(element("dt", {}, name), element("dd", {}, value));
  return list;
}

/** Codes packed as eight bits per byte. */
class Codes {
  constructor(base64, nBits) {
    this.nBits = nBits;
    this.stride = Math.ceil(nBits / 8);
    this.bytes = bytesOf(base64);
  }
  bit(i, k) { return (this.bytes[i * this.stride + (k >> 3)] >> (7 - (k & 7))) & 1; }
  bits(i) { return Array.from({ length: this.nBits }, (_, k) => this.bit(i, k)); }
  hex(i) {
    const row = this.bytes.subarray(i * this.stride, (i + 1) * this.stride);
    return Array.from(row, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  distance(i, j) {
    let total = 0;
    for (let b = 0; b < this.stride; b++) {
      let x = this.bytes[i * this.stride + b] ^ this.bytes[j * this.stride + b];
      for (; x; x &= x - 1) total++;
    }
    return total;
  }
}

const bitColumns = (n) => 2 ** Math.ceil(Math.log2(Math.max(1, Math.sqrt(n))));

const themeCache = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => themeCache.clear());

/** Return the value of a custom property of the style sheet. */
function themed(name) {
  if (!themeCache.has(name)) {
    themeCache.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return themeCache.get(name);
}

/** Return a small picture of a code; bits that differ from those of another code are coloured. */
function codePicture(bits, other = null, width = 72) {
  const columns = bitColumns(bits.length);
  const rows = Math.ceil(bits.length / columns);
  const canvas = element("canvas", { className: "code", width: columns, height: rows });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${Math.round((width * rows) / columns)}px`;
  const context = canvas.getContext("2d");
  bits.forEach((bit, k) => {
    const differs = other && other[k] !== bit;
    context.fillStyle = themed(differs ? "--changed" : bit ? "--on" : "--off");
    context.fillRect(k % columns, Math.floor(k / columns), 1, 1);
  });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Code of ${bits.length} bits`);
  return canvas;
}
