"""Style of the explorer's page, and its grid of bits."""

#: Applies to the page. Pictures of few pixels are enlarged without blur.
STYLE = """
h1 { font-size: 1.4rem; font-weight: 600; margin: 0; }
h1 + p { margin: 0; opacity: .7; }
.pixels img { image-rendering: pixelated; object-fit: contain; width: 100%; height: 100%; }
.pixels .grid-wrap { min-height: 0; max-height: none; }
.pixels .grid-wrap.fixed-height { min-height: 0; }
.wrapping .grid-container { grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)); }
@media (min-width: 800px) {
  .wrapping .grid-container { grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); }
}
.wrapping .caption-label { white-space: normal; overflow-wrap: anywhere; }
.wrapping .caption-label { max-width: 100%; right: 0; bottom: 0; }
.status { overflow-wrap: anywhere; min-height: 1.5em; }
"""

#: The grid's value is null or {bits, own, probabilities}: the bits shown and those of the picture.
GRID_TEMPLATE = """
<div class="hint">${value
  ? "Probability of a one by colour; switched bits have an orange frame. Click a bit to switch it."
  : "Drop a picture to see its code."}</div>
<div class="bits" role="group" aria-label="Bits of the code"
  style="--columns: ${value && value.bits.length <= 64 ? "8" : "auto-fill"}">
${(value ? value.bits : []).map((bit, i) => {
  const percent = Math.round(100 * value.probabilities[i]);
  const share = bit === value.own[i] ? percent : 100 * bit;
  const kind = "bit" + (bit === value.own[i] ? "" : " switched") + (share > 50 ? " dark" : "");
  return '<button type="button" class="' + kind + '" data-bit="' + i + '" aria-pressed="' + (bit === 1)
    + '" title="bit ' + i + ', probability ' + (percent / 100).toFixed(2) + '" style="--share:' + share
    + '%"><small>' + i + '</small>' + bit + '</button>';
}).join("")}</div>
"""

GRID_STYLE = """
.hint { font-size: .85rem; opacity: .75; margin-bottom: .5rem; }
.bits { display: grid; grid-template-columns: repeat(var(--columns), minmax(36px, 1fr)); gap: 4px; }
.bit {
  height: 40px; width: 100%; padding: 0; border-radius: 4px;
  border: 1px solid #b6c2d1; cursor: pointer; line-height: 1.1; font-size: .95rem; font-weight: 600;
  background: color-mix(in srgb, #1d4f91 var(--share), #f2f6fb); color: #1b2b3d;
  display: flex; flex-direction: column; align-items: center; justify-content: center;
}
.bit.dark { color: #fff; }
.bit small { font-size: .6rem; font-weight: 400; opacity: .8; }
.bit.switched { border-color: #e87500; box-shadow: 0 0 0 2px #e87500; }
.bit:focus-visible { outline: 3px solid #0b84ff; outline-offset: 1px; }
"""

#: Switches the bit in the browser, so that quick clicks are not lost, and keeps the keyboard's focus.
GRID_SCRIPT = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-bit]");
  if (!button || !props.value) return;
  const i = Number(button.dataset.bit);
  const bits = [...props.value.bits];
  bits[i] = 1 - bits[i];
  props.value = {...props.value, bits};
  trigger("switch");
  requestAnimationFrame(() => element.querySelector('[data-bit="' + i + '"]')?.focus());
});
"""
