/** Pictures decoded from a code with one bit switched, for some exemplars. */
class BitSwitcher {
  /** drawOriginal(canvas, row) draws a picture of the collection. */
  constructor(container, info, codes, paths, drawOriginal, rowOf = (i) => i) {
    Object.assign(this, { info, codes, paths, drawOriginal, rowOf });
    this.sprites = new Sprites(info.sprites, "bits");
    this.effect = arrayOf(Float32Array, info.effect);
    this.exemplar = 0;
    this.bit = -1;
    this.build(container);
  }

  async load() {
    await this.sprites.load();
    this.show();
  }

  build(container) {
    this.strip = element("div", { className: "exemplars" });
    this.thumbs = this.info.exemplars.map((i, e) => {
      const canvas = squareCanvas(38, this.paths[this.rowOf(i)]);
      const button = element("button", { type: "button", title: this.paths[this.rowOf(i)] }, canvas);
      button.onclick = () => this.choose(e);
      this.strip.append(button);
      return [canvas, i];
    });
    const figure = (caption) => {
      const canvas = squareCanvas(150);
      canvas.style.width = canvas.style.height = "";
      const label = element("figcaption", {}, caption);
      return { canvas, label, node: element("figure", {}, canvas, label) };
    };
    this.figures = [figure("picture"), figure("decoded"), figure("bit switched")];
    this.status = element("p", { className: "status", ariaLive: "polite" });
    this.grid = element("div", { className: "bit-grid" });
    this.grid.style.gridTemplateColumns = `repeat(${bitColumns(this.info.n_bits)}, minmax(0, 1fr))`;
    this.grid.style.maxWidth = `${Math.max(240, bitColumns(this.info.n_bits) * 21)}px`;
    this.buttons = Array.from({ length: this.info.n_bits }, (_, k) => {
      const button = element("button", { type: "button" });
      button.onclick = () => { this.bit = this.bit === k ? -1 : k; this.show(); };
      this.grid.append(button);
      return button;
    });
    const key = (style, text) => element("span", {}, element("i", { style }), text);
    container.classList.add("switcher");
    container.append(
      element("h2", {}, "Switch a bit"),
      element("p", { className: "hint" }, "Choose a picture, then click a bit of its code to decode it with that bit switched."),
      this.strip,
      element("div", { className: "stages" }, ...this.figures.map((f) => f.node)),
      this.status,
      this.grid,
      element("div", { className: "key" }, key("background: var(--on)", "1"), key("background: var(--off)", "0"),
        key("background: var(--changed); border-radius: 50%", "the stronger the dot, the more the picture changes")),
    );
    this.show();
  }

  /** Choose an exemplar by its position. */
  choose(e) {
    this.exemplar = e;
    this.bit = -1;
    this.show();
  }

  show() {
    const { exemplar: e, bit, info } = this;
    const i = info.exemplars[e];
    this.thumbs.forEach(([canvas, row], position) => {
      this.drawOriginal(canvas, row);
      canvas.parentNode.setAttribute("aria-pressed", String(position === e));
    });
    const [original, decoded, switched] = this.figures;
    const first = e * (info.n_bits + 1);
    this.drawOriginal(original.canvas, i);
    this.sprites.paint(decoded.canvas, first);
    this.sprites.paint(switched.canvas, first + bit + 1);
    const effects = this.effect.subarray(e * info.n_bits, (e + 1) * info.n_bits);
    const most = Math.max(1e-6, ...effects);
    const value = (k) => this.codes.bit(this.rowOf(i), k);
    this.buttons.forEach((button, k) => {
      button.classList.toggle("one", value(k) === 1);
      button.setAttribute("aria-pressed", String(k === bit));
      button.setAttribute("aria-label", `Bit ${k}: ${value(k)}`);
      button.title = `bit ${k}: ${value(k)}; switching it changes pixels by ${effects[k].toFixed(1)} of 255 on average`;
      button.style.setProperty("--effect", (effects[k] / most) ** 1.5);
    });
    switched.label.textContent = bit < 0 ? "no bit switched" : `bit ${bit} switched`;
    this.status.textContent = bit < 0
      ? "No bit is switched."
      : `Bit ${bit}: ${value(bit)} → ${1 - value(bit)}. Pixels change by ${effects[bit].toFixed(1)} of 255 on average.`;
  }
}
