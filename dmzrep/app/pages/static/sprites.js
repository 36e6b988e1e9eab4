/** Return a picture decoded from the text element of a sheet. */
async function sheetPicture(id) {
  const node = byId(id);
  const bytes = bytesOf(node.textContent);
  node.remove();
  return createImageBitmap(new Blob([bytes], { type: "image/webp" }));
}

/** Pictures in sheets of square cells; each lies in the upper left corner of its cell. */
class Sprites {
  constructor(info, name) {
    Object.assign(this, { side: info.side, columns: info.columns, n: info.sheets, name });
    this.perSheet = info.columns * info.columns;
    this.width = bytesOf(info.width);
    this.height = bytesOf(info.height);
    this.sheets = new Array(info.sheets).fill(null);
  }

  /** Decode the sheets one after another and call back after each. */
  async load(onSheet = () => {}) {
    for (let i = 0; i < this.n; i++) {
      this.sheets[i] = await sheetPicture(`${this.name}-${i}`);
      onSheet();
    }
  }

  has(i) { return this.sheets[Math.floor(i / this.perSheet)] !== null; }

  /** The place of a picture in a square, whole and centred: x, y, width and height. */
  fitted(i, x, y, size) {
    const [width, height] = [this.width[i], this.height[i]];
    const scale = size / Math.max(width, height);
    return [x + (size - width * scale) / 2, y + (size - height * scale) / 2, width * scale, height * scale];
  }

  /** Draw a picture into a square, if its sheet has been decoded. */
  draw(context, i, x, y, size) {
    const sheet = this.sheets[Math.floor(i / this.perSheet)];
    if (!sheet) return false;
    const place = i % this.perSheet;
    context.drawImage(
      sheet, (place % this.columns) * this.side, Math.floor(place / this.columns) * this.side, this.width[i], this.height[i],
      ...this.fitted(i, x, y, size),
    );
    return true;
  }

  /** Draw a picture into a canvas element of its own; very small ones keep their pixels. */
  paint(canvas, i) {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = Math.max(this.width[i], this.height[i]) >= 24;
    context.imageSmoothingQuality = "high";
    return this.draw(context, i, 0, 0, canvas.width);
  }
}

/** Return a square canvas of the given size in CSS pixels. */
function squareCanvas(size, label = "") {
  const pixels = Math.round(size * Math.min(2, devicePixelRatio || 1));
  const canvas = element("canvas", { className: "picture", width: pixels, height: pixels });
  canvas.style.width = canvas.style.height = `${size}px`;
  if (label) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
  }
  return canvas;
}
