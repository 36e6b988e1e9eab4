/** Side of a tile in CSS pixels at which the map shows the next finer level. */
const MIN_TILE = 21;
const MAX_TILE = 320;

/**
 * A map of pictures on a canvas. Each picture has a cell of a grid. Level L joins blocks of 2^L x 2^L cells to
 * a tile, which shows one of their pictures; zooming in splits tiles.
 */
class Mosaic {
  constructor(canvas, cells, size, thumbs, onDraw) {
    Object.assign(this, { canvas, cells, size, thumbs, onDraw });
    this.n = cells.length / 2;
    this.context = canvas.getContext("2d", { alpha: false });
    this.colourOf = null;
    this.isMember = null;
    this.pinned = new Set();
    this.selected = -1;
    this.neighbors = [];
    this.hovered = -1;
    this.places = null;
    this.fade = 1;
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.build();
  }

  /** Choose the picture of each tile: pinned ones first, then members of the highlighted group, then of the fullest part. */
  build() {
    const { size, cells, n } = this;
    let rep = new Int32Array(size * size).fill(-1);
    let weight = new Int32Array(size * size);
    let many = new Int32Array(size * size);
    for (let i = 0; i < n; i++) {
      const cell = cells[2 * i + 1] * size + cells[2 * i];
      rep[cell] = i;
      weight[cell] = this.pinned.has(i) ? 1 << 28 : this.isMember && this.isMember(i) ? 1 << 14 : 1;
      many[cell] = 1;
    }
    this.levels = [{ side: size, rep, many }];
    for (let side = size; side > 1;) {
      const half = Math.ceil(side / 2);
      const next = { side: half, rep: new Int32Array(half * half).fill(-1), many: new Int32Array(half * half) };
      const best = new Int32Array(half * half);
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++) {
          const from = y * side + x;
          if (rep[from] < 0) continue;
          const to = (y >> 1) * half + (x >> 1);
          next.many[to] += many[from];
          if (weight[from] > best[to]) {
            best[to] = weight[from];
            next.rep[to] = rep[from];
          }
        }
      }
      this.levels.push(next);
      ({ rep, many } = next);
      weight = best.map((w, t) => (w < 1 << 14 ? many[t] : w));
      side = half;
    }
    this.requestDraw();
  }

  /** Fit the canvas to its element, keeping the centre of the view. */
  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(2, devicePixelRatio || 1);
    if (!width || !height) return;
    const centre = this.view && this.toMap(this.width / 2, this.height / 2);
    Object.assign(this, { width, height, ratio });
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (centre) {
      this.view.x = width / 2 - centre[0] * this.view.scale;
      this.view.y = height / 2 - centre[1] * this.view.scale;
    } else this.view = this.fitted();
    this.draw();
  }

  /** The view that shows all pictures. */
  fitted() {
    if (!this.box) {
      const axis = (offset) => this.cells.filter((_, k) => k % 2 === offset);
      const range = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v + 1)], [Infinity, 0]);
      this.box = [range(axis(0)), range(axis(1))];
    }
    const [[left, right], [top, bottom]] = this.box;
    const margin = this.width < 600 ? 16 : 48;
    const scale = Math.min((this.width - margin) / (right - left), (this.height - margin) / (bottom - top), 120);
    return { scale, x: (this.width - (left + right) * scale) / 2, y: (this.height - (top + bottom) * scale) / 2 };
  }

  toMap(x, y) { return [(x - this.view.x) / this.view.scale, (y - this.view.y) / this.view.scale]; }

  /** The centre of a picture in CSS pixels of the canvas. */
  position(i, level = 0) {
    const tile = 2 ** level;
    const place = (axis) => (Math.floor(this.cells[2 * i + axis] / tile) + 0.5) * tile * this.view.scale;
    return [this.view.x + place(0), this.view.y + place(1)];
  }

  level() {
    const least = this.width < 600 ? MIN_TILE - 4 : MIN_TILE;
    const level = Math.ceil(Math.log2(least / this.view.scale));
    return Math.max(0, Math.min(this.levels.length - 1, level));
  }

  /** The picture under a point, and how many share its tile. */
  at(x, y) {
    const level = this.level();
    const { side, rep, many } = this.levels[level];
    const [column, row] = this.toMap(x, y).map((value) => Math.floor(value / 2 ** level));
    if (column < 0 || row < 0 || column >= side || row >= side) return { index: -1, many: 0 };
    return { index: rep[row * side + column], many: many[row * side + column] };
  }

  /** The decoded place under a point, or -1. */
  placeAt(x, y) {
    if (!this.places) return -1;
    const { nSide, index } = this.places;
    const [column, row] = this.toMap(x, y).map((value) => Math.floor((value / this.size) * nSide));
    return column < 0 || row < 0 || column >= nSide || row >= nSide ? -1 : index[row * nSide + column];
  }

  /** The picture nearest to a point. */
  nearest(x, y) {
    const [mapX, mapY] = this.toMap(x, y);
    let [best, found] = [Infinity, -1];
    for (let i = 0; i < this.n; i++) {
      const distance = (this.cells[2 * i] + 0.5 - mapX) ** 2 + (this.cells[2 * i + 1] + 0.5 - mapY) ** 2;
      if (distance < best) [best, found] = [distance, i];
    }
    return found;
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const { view } = this;
    const least = this.fitted().scale * 0.6;
    const scale = Math.max(least, Math.min(MAX_TILE, view.scale * factor));
    view.x = x - ((x - view.x) / view.scale) * scale;
    view.y = y - ((y - view.y) / view.scale) * scale;
    view.scale = scale;
    this.target = null;
    this.requestDraw();
  }

  move(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.target = null;
    this.requestDraw();
  }

  /** Glide to a view. */
  glide(target) {
    if (this.isCalm) Object.assign(this.view, target);
    else this.target = { from: { ...this.view }, to: target, start: performance.now() };
    this.requestDraw();
  }

  fit() { this.glide(this.fitted()); }

  flyTo(i) {
    const scale = Math.max(this.view.scale, 64);
    const centre = (axis) => (this.cells[2 * i + axis] + 0.5) * scale;
    this.glide({ scale, x: this.width / 2 - centre(0), y: this.height / 2 - centre(1) });
  }

  requestDraw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); });
  }

  advance(now) {
    const { target, view } = this;
    if (target) {
      const t = Math.min(1, (now - target.start) / 450);
      const s = t * t * (3 - 2 * t);
      const scale = target.from.scale * (target.to.scale / target.from.scale) ** s;
      // The centre moves in step with the scale, so that the way looks straight.
      const share = Math.abs(target.to.scale - target.from.scale) < 1e-6 ? s
        : ((scale - target.from.scale) / (target.to.scale - target.from.scale)) * (target.to.scale / scale);
      for (const [axis, half] of [["x", this.width / 2], ["y", this.height / 2]]) {
        const from = (half - target.from[axis]) / target.from.scale;
        const to = (half - target.to[axis]) / target.to.scale;
        view[axis] = half - (from + (to - from) * share) * scale;
      }
      view.scale = scale;
      if (t === 1) this.target = null;
    }
    const level = this.level();
    if (level !== this.shownLevel) {
      const isStep = Math.abs(level - this.shownLevel) === 1;
      this.change = isStep && !this.isCalm ? { from: this.shownLevel, start: now } : null;
      this.shownLevel = level;
    }
    const aim = this.showsPlaces ? 0 : 1;
    const step = this.isCalm ? 1 : 0.14;
    this.fade += Math.max(-step, Math.min(step, aim - this.fade));
    if (this.target || this.change || this.fade !== aim) this.requestDraw();
  }

  draw() {
    if (!this.view) return;
    const now = performance.now();
    this.advance(now);
    const { context, ratio } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = themed("--page");
    context.fillRect(0, 0, this.width, this.height);
    // Pictures are reduced by less than three times, for which this suffices, and it is the fastest.
    context.imageSmoothingQuality = "low";
    if (this.fade < 1 && this.places) this.drawPlaces(1 - this.fade);
    if (this.fade > 0) this.drawTiles(now);
    this.drawMarks();
    this.onDraw();
  }

  drawPlaces(alpha) {
    const { context, view, places } = this;
    const tile = (this.size * view.scale) / places.nSide;
    context.globalAlpha = alpha;
    const gap = Math.min(2, tile * 0.06);
    const [x0, x1, y0, y1] = this.visible(tile, places.nSide);
    for (let row = y0; row < y1; row++) {
      for (let column = x0; column < x1; column++) {
        const place = places.index[row * places.nSide + column];
        if (place >= 0) places.sprites.draw(context, place, view.x + column * tile + gap / 2, view.y + row * tile + gap / 2, tile - gap);
      }
    }
    context.globalAlpha = 1;
  }

  /** The columns and rows of tiles that are in view. */
  visible(tile, side) {
    const bound = (value) => Math.max(0, Math.min(side, value));
    return [
      bound(Math.floor(-this.view.x / tile)), bound(Math.ceil((this.width - this.view.x) / tile)),
      bound(Math.floor(-this.view.y / tile)), bound(Math.ceil((this.height - this.view.y) / tile)),
    ];
  }

  drawTiles(now) {
    const { change } = this;
    const t = change ? Math.min(1, (now - change.start) / 220) : 1;
    if (t === 1) this.change = null;
    const isSplit = change && change.from > this.shownLevel;
    // While tiles join, the finer level is still drawn.
    const level = change && !isSplit ? change.from : this.shownLevel;
    const growth = isSplit ? t : 1 - t;
    const s = growth * growth * (3 - 2 * growth);
    const { side, rep } = this.levels[level];
    const tile = 2 ** level * this.view.scale;
    const [x0, x1, y0, y1] = this.visible(tile, side);
    const above = this.levels[level + 1];
    for (let row = y0; row < y1; row++) {
      for (let column = x0; column < x1; column++) {
        const i = rep[row * side + column];
        if (i < 0) continue;
        let [x, y, size, alpha] = [this.view.x + column * tile, this.view.y + row * tile, tile, 1];
        if (change) {
          if (above.rep[(row >> 1) * above.side + (column >> 1)] === i) {
            const [px, py] = [this.view.x + (column >> 1) * 2 * tile, this.view.y + (row >> 1) * 2 * tile];
            [x, y, size] = [px + (x - px) * s, py + (y - py) * s, tile * (2 - s)];
          } else {
            alpha = s;
            [x, y, size] = [x + (tile * (1 - s)) / 2, y + (tile * (1 - s)) / 2, tile * s];
          }
        }
        this.drawTile(i, x, y, size, alpha);
      }
    }
  }

  drawTile(i, x, y, size, alpha) {
    const { context } = this;
    const isDim = this.isMember && !this.isMember(i) && !this.pinned.has(i);
    context.globalAlpha = alpha * this.fade * (isDim ? 0.1 : 1);
    const gap = Math.max(1, Math.min(6, size * 0.05));
    const colour = this.colourOf && this.colourOf(i);
    const border = colour ? Math.max(2, Math.min(5, size * 0.08)) : 0;
    const inset = gap / 2 + border;
    const inner = Math.max(1, size - 2 * inset);
    const [small, large] = this.thumbs;
    if (colour) {
      const [left, top, width, height] = small.fitted(i, x + inset, y + inset, inner);
      context.fillStyle = colour;
      context.fillRect(left - border, top - border, width + 2 * border, height + 2 * border);
    }
    const needsLarge = large && inner * this.ratio > small.side * 1.15 && large.has(i);
    const isDrawn = (needsLarge ? large : small).draw(context, i, x + inset, y + inset, inner);
    if (!isDrawn) {
      context.fillStyle = themed("--sunken");
      context.fillRect(x + inset, y + inset, inner, inner);
    }
    context.globalAlpha = 1;
  }

  drawMarks() {
    const { context } = this;
    const level = this.level();
    const tile = 2 ** level * this.view.scale;
    const ring = (i, colour, width) => {
      const [x, y] = this.position(i, level);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.roundRect(x - tile / 2, y - tile / 2, tile, tile, Math.min(6, tile * 0.12));
      context.stroke();
    };
    if (this.selected >= 0) {
      const [x, y] = this.position(this.selected, level);
      context.lineWidth = 1.25;
      context.strokeStyle = themed("--accent");
      context.globalAlpha = 0.55;
      context.beginPath();
      for (const j of this.neighbors) {
        context.moveTo(x, y);
        context.lineTo(...this.position(j, level));
      }
      context.stroke();
      context.globalAlpha = 1;
      for (const j of this.neighbors) ring(j, themed("--accent"), 1.5);
      ring(this.selected, themed("--accent"), 3.5);
    }
    if (this.hovered >= 0 && this.fade > 0.5) ring(this.hovered, themed("--ink"), 2);
  }
}
