/** Move and zoom a mosaic by wheel, drag, pinch and keys; call back on hover and click. */
function attachGestures(mosaic, onHover, onClick) {
  const { canvas } = mosaic;
  const pointers = new Map();
  let [moved, distance] = [0, 0];
  const local = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const centre = () => {
    const points = [...pointers.values()];
    const mean = (axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length;
    const spread = points.length < 2 ? 0 : Math.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]);
    return [mean(0), mean(1), spread];
  };

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    // Trackpads send pinches as small steps with the control key.
    const speed = event.ctrlKey ? 0.01 : 0.0016;
    const delta = Math.max(-240, Math.min(240, event.deltaY * unit));
    mosaic.zoom(Math.exp(-delta * speed), ...local(event));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, local(event));
    if (pointers.size === 1) moved = 0;
    distance = centre()[2];
  });

  canvas.addEventListener("pointermove", (event) => {
    const point = local(event);
    if (!pointers.has(event.pointerId)) {
      if (event.pointerType === "mouse") onHover(...point);
      return;
    }
    const before = centre();
    pointers.set(event.pointerId, point);
    const after = centre();
    moved += Math.hypot(after[0] - before[0], after[1] - before[1]) + Math.abs(after[2] - before[2]);
    if (moved < 5) return;
    canvas.classList.add("dragging");
    onHover(null);
    mosaic.move(after[0] - before[0], after[1] - before[1]);
    if (pointers.size > 1 && distance) mosaic.zoom(after[2] / before[2], after[0], after[1]);
  });

  const release = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    canvas.classList.remove("dragging");
    if (event.type === "pointerup" && moved < 5 && pointers.size === 0) onClick(...local(event));
    distance = pointers.size ? centre()[2] : 0;
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => onHover(null));
  canvas.addEventListener("dblclick", (event) => mosaic.zoom(1.8, ...local(event)));

  canvas.addEventListener("keydown", (event) => {
    const actions = {
      "+": () => mosaic.zoom(1.3), "=": () => mosaic.zoom(1.3), "-": () => mosaic.zoom(1 / 1.3), 0: () => mosaic.fit(),
      ArrowLeft: () => mosaic.move(80, 0), ArrowRight: () => mosaic.move(-80, 0),
      ArrowUp: () => mosaic.move(0, 80), ArrowDown: () => mosaic.move(0, -80),
    };
    if (actions[event.key] && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      actions[event.key]();
    }
  });
}
