"use strict";
/* One picture: the frame that is shown, with the boxes of one method's answers.

   Frame and boxes are painted together on one canvas, so they cannot be out of step, and several
   stages show several methods on the one video that plays. Under the boxes lie masks, drafts and
   the attention for the chosen sentence. The box of the chosen answer can be moved and resized
   while the video stands still. */

// Okabe and Ito, as on overlay films: told apart with every kind of colour blindness.
const COLORS = ["#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7", "#f0e442", "#0072b2"];
const CORNERS = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const HANDLE = 12; // pixels
const CURSORS = ["nwse", "ns", "nesw", "ew", "nwse", "ns", "nesw", "ew"];

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Text that is read well on a colour of the list. */
const inkOn = color => color === "#0072b2" ? "#ffffff" : "#14161a";

/** An element with attributes, texts and children; texts are never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A canvas, the answers on it, and the handles of the chosen one. */
class Stage {
  #canvas = make("canvas", { role: "img" });
  #map = make("canvas"); // a pixel a cell of attention
  #edited = make("div", { class: "box", tabindex: 0, role: "group", hidden: true });

  /**
   * @param player What is shown.
   * @param size {width, height} of the video in pixels, as boxes have it.
   * @param rows The answers shown here: [{answer, color, label, draft, attention}].
   * @param chosen Gives the row whose box may be edited, or null.
   * @param changed Called after an edit.
   */
  constructor(player, size, rows, chosen, changed) {
    Object.assign(this, { player, size, rows, chosen, changed, showsHeat: true });
    this.element = make("div", { class: "stage" }, this.#canvas, this.#edited);
    this.element.style.setProperty("--ratio", size.width / size.height);
    CORNERS.forEach(([x, y], i) => {
      const handle = make("span", { class: "handle" });
      Object.assign(handle.style, { left: `${100 * x}%`, top: `${100 * y}%`,
        marginLeft: `${(x - 1) * HANDLE}px`, marginTop: `${(y - 1) * HANDLE}px`,
        cursor: `${CURSORS[i]}-resize` }); // outside, so that a small box can still be moved
      handle.style.setProperty("--x", 2 * x - 1);
      handle.style.setProperty("--y", 2 * y - 1);
      handle.addEventListener("pointerdown", event => this.#drag(event, [x, y]));
      this.#edited.append(handle);
    });
    this.#edited.addEventListener("pointerdown", event => this.#drag(event, null));
    this.#edited.addEventListener("keydown", event => this.#key(event));
    new ResizeObserver(() => this.#fit()).observe(this.element);
  }

  /** Paint the frame that is shown. */
  draw() {
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    if (!width) return;
    context.fillStyle = "#16191d";
    context.fillRect(0, 0, width, height);
    if (this.player.hasPicture) context.drawImage(this.player.video, 0, 0, width, height);
    const { frame } = this.player, chosen = this.chosen();
    if (this.showsHeat) this.#drawHeat(context, chosen.answer.query);
    for (const row of this.rows) this.#drawMask(context, row, frame);
    const topmost = [...this.rows].sort((a, b) => (a === chosen) - (b === chosen));
    for (const row of topmost) this.#drawBoxes(context, row, frame, row === chosen);
    for (const row of topmost) this.#drawLabel(context, row, frame);
    this.#describe(frame);
    this.#place(chosen, frame);
  }

  focusBox() {
    if (this.#edited.hidden) return false;
    this.#edited.focus();
    return true;
  }

  #fit() {
    const sharp = window.devicePixelRatio || 1;
    const width = this.element.clientWidth * sharp;
    this.#canvas.width = Math.round(width);
    this.#canvas.height = Math.round(width * this.size.height / this.size.width);
    this.draw();
  }

  /** Where the model looks for a sentence: clear where that is least in the whole video, red, and
      yellow where it is most. */
  #drawHeat(context, query) {
    const { attention } = this.rows.find(row => row.attention && row.answer.query === query) ?? {};
    if (!attention) return;
    const { rows, columns, lowest } = attention, picture = new ImageData(columns, rows);
    mapAt(attention, this.player.time).forEach((value, i) => {
      const share = (value - lowest) / (255 - lowest || 1);
      picture.data.set([255, share * 220, 40, share * 150], 4 * i);
    });
    Object.assign(this.#map, { width: columns, height: rows });
    this.#map.getContext("2d").putImageData(picture, 0, 0);
    context.drawImage(this.#map, 0, 0, this.#canvas.width, this.#canvas.height);
  }

  #drawMask(context, { answer, color }, frame) {
    const rectangles = rectanglesOf(answer.boxAt(frame)?.mask, this.size);
    if (!rectangles.length) return;
    const { width, height } = this.#canvas, path = new Path2D();
    for (const rectangle of rectangles) path.rect(...rectangle);
    context.save();
    context.scale(width / this.size.width, height / this.size.height);
    context.globalAlpha = 0.4;
    context.fillStyle = color;
    context.fill(path);
    context.restore();
  }

  #drawBoxes(context, { answer, color, draft }, frame, isChosen) {
    const box = answer.boxAt(frame);
    const drafted = draftAt(draft, this.player.time, answer.source);
    const sharp = window.devicePixelRatio || 1;
    if (drafted) this.#frame(context, drafted, color, 2 * sharp, [5 * sharp, 4 * sharp]);
    if (box) this.#frame(context, box.xyxy, color, (isChosen ? 3 : 2) * sharp, []);
  }

  #drawLabel(context, { answer, color, label }, frame) {
    const box = answer.boxAt(frame);
    const sharp = window.devicePixelRatio || 1;
    if (box) this.#label(context, box.xyxy, color, label, 13 * sharp);
  }

  /** A rectangle in a colour, on a dark rim that shows on any picture. */
  #frame(context, xyxy, color, line, dash) {
    const [x1, y1, x2, y2] = this.#onCanvas(xyxy);
    for (const [style, width] of [["#000000a0", line + 2], [color, line]]) {
      context.setLineDash(style === color ? dash : []);
      context.strokeStyle = style;
      context.lineWidth = width;
      if (!dash.length || style === color) context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    context.setLineDash([]);
  }

  /** A label on top of the box, or inside where there is no room. */
  #label(context, xyxy, color, text, size) {
    const [x1, y1] = this.#onCanvas(xyxy);
    context.font = `600 ${size}px system-ui, sans-serif`;
    const width = context.measureText(text).width + size * 0.7, height = size * 1.4;
    const left = clamp(x1, 0, this.#canvas.width - width);
    const top = y1 >= height ? y1 - height : y1;
    context.fillStyle = color;
    context.fillRect(left, top, width, height);
    context.fillStyle = inkOn(color);
    context.fillText(text, left + size * 0.35, top + size * 1.05);
  }

  #onCanvas(xyxy) {
    const scale = this.#canvas.width / this.size.width;
    return xyxy.map(value => value * scale);
  }

  #describe(frame) {
    const seen = this.rows.filter(({ answer }) => answer.holds(frame)).map(({ label }) => label);
    const told = seen.length ? `boxes of ${seen.join(", ")}` : "no box";
    this.#canvas.setAttribute("aria-label", `frame ${frame}: ${told}`);
  }

  /** Put the handles around the chosen box, while the video stands still. */
  #place(row, frame) {
    const isHere = row && this.rows.includes(row) && this.player.paused;
    const box = isHere ? row.answer.boxAt(frame) : null;
    this.#edited.hidden = !box;
    if (!box) return;
    const [x1, y1, x2, y2] = box.xyxy, { width, height } = this.size;
    Object.assign(this.#edited.style, {
      left: `${100 * x1 / width}%`, top: `${100 * y1 / height}%`,
      width: `${100 * (x2 - x1) / width}%`, height: `${100 * (y2 - y1) / height}%`,
    });
    this.#edited.classList.toggle("key", row.answer.isKey(frame));
    const told = box.xyxy.map(value => value.toFixed(0)).join(", ");
    this.#edited.setAttribute("aria-label",
      `box of ${row.label} in frame ${frame}: ${told} pixels; arrows move, with Alt they resize`);
  }

  #drag(event, corner) {
    if (event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    this.#edited.focus({ preventScroll: true });
    const { answer } = this.chosen(), { frame } = this.player;
    const before = answer.state, start = answer.boxAt(frame).xyxy;
    const scale = this.size.width / this.element.clientWidth;
    const move = now => {
      const dx = (now.clientX - event.clientX) * scale, dy = (now.clientY - event.clientY) * scale;
      answer.state = before;
      answer.state = answer.withBox(frame, corner ? resized(start, corner, dx, dy)
        : moved(start, dx, dy, this.size));
      this.draw();
    };
    follow(event, move, () => {
      answer.set(answer.state, before);
      this.changed();
    });
  }

  #key(event) {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [dx, dy] = step.map(value => value * (event.shiftKey ? 10 : 1));
    const { answer } = this.chosen(), { frame } = this.player, { xyxy } = answer.boxAt(frame);
    answer.set(answer.withBox(frame, event.altKey ? resized(xyxy, [1, 1], dx, dy)
      : moved(xyxy, dx, dy, this.size)));
    this.changed();
  }
}

/** A box pushed by (dx, dy), as far as the picture goes. */
function moved([x1, y1, x2, y2], dx, dy, { width, height }) {
  dx = clamp(dx, -x1, width - x2);
  dy = clamp(dy, -y1, height - y2);
  return [x1 + dx, y1 + dy, x2 + dx, y2 + dy];
}

/** A box with one corner or side pulled by (dx, dy). */
function resized([x1, y1, x2, y2], [x, y], dx, dy) {
  return [x1 + (x === 0 ? dx : 0), y1 + (y === 0 ? dy : 0),
    x2 + (x === 1 ? dx : 0), y2 + (y === 1 ? dy : 0)];
}

/** Call `move` for every movement of a pressed pointer and `done` when it is let go. */
function follow(event, move, done) {
  const target = event.currentTarget;
  target.setPointerCapture(event.pointerId);
  const end = () => {
    target.removeEventListener("pointermove", move);
    target.removeEventListener("pointerup", end);
    target.removeEventListener("pointercancel", end);
    done();
  };
  target.addEventListener("pointermove", move);
  target.addEventListener("pointerup", end);
  target.addEventListener("pointercancel", end);
}
