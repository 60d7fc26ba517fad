"use strict";
/* The viewer: pictures, controls, timeline and panel put together, and the keys. */

const KEYS = [
  ["Space", "play or pause"],
  ["← →", "one frame back or on; with Shift one second"],
  ["Home End", "first and last frame of the answer"],
  ["1 … 9, 0", "choose a sentence, 0 the tenth; again for its next method"],
  ["[ ]", "let the answer start or end with this frame"],
  ["H", "show or hide the heat of attention"],
  ["B", "go to the box: then arrows move it, with Alt they resize it, Shift is ten pixels"],
  ["Delete", "remove the keyframe here"],
  ["Ctrl Z, Ctrl Shift Z", "undo, redo"],
  ["Ctrl S", "save the answer"],
  ["?", "show this list"],
];
const TYPING = "input:not([type=range]), textarea, select, dialog *";
const PRESSED_BY_SPACE = "button, summary, a";

/** Answers of one method or several on one video. */
class Viewer {
  #keyListener = event => this.#key(event);

  /**
   * @param root Where to build; what was there is removed.
   * @param video The "video" of the predictions.
   * @param src Address of something the browser plays.
   * @param columns [{title, documents}], one a method; documents are stvg.prediction/1.
   * @param times Time of every frame, or null.
   * @param save Saves a row: gets {document, column, index}, gives (a promise of) a short message.
   */
  constructor(root, { video, src, columns, times = null, save }) {
    const clock = new FrameClock(video, columns.flatMap(each => each.documents), times);
    this.video = make("video", { class: "source", playsinline: true, preload: "auto",
      "aria-hidden": "true", tabindex: -1 });
    this.player = new Player(this.video, clock);
    this.save = save;
    this.columns = columns.map((column, number) => this.#rowsOf(column, number, clock));
    this.groups = this.#grouped();
    this.chosen = this.groups[0].rows[0];
    const chosen = () => this.chosen, changed = () => this.draw();
    this.stages = this.columns.map(({ rows }) =>
      new Stage(this.player, video, rows, chosen, changed));
    this.timeline = new Timeline(this.player, this.groups, row => this.choose(row), changed);
    this.controls = this.#controls();
    this.message = make("p", { class: "message", role: "status" });
    this.panel = new Panel(this);
    this.help = helpDialog();
    root.replaceChildren(this.video, this.#pictures(), this.controls.element, this.message,
      this.timeline.element, this.panel.element, this.help);
    this.player.addEventListener("frame", () => this.#drawFrame());
    this.player.addEventListener("state", () => this.#drawFrame());
    this.video.addEventListener("error", () => {
      if (this.video.currentSrc) this.say("this browser cannot play the video");
    });
    document.addEventListener("keydown", this.#keyListener);
    this.video.src = src;
    this.draw();
  }

  get hasUnsaved() {
    return this.columns.some(({ rows }) => rows.some(({ answer }) => answer.isChanged));
  }

  /** Stop listening and playing; the page may build another one. */
  close() {
    document.removeEventListener("keydown", this.#keyListener);
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
  }

  choose(row) {
    this.chosen = row;
    this.draw();
  }

  say(text) {
    this.message.textContent = text;
  }

  /** Change the chosen answer. */
  set(state) {
    this.chosen.answer.set(state);
    this.draw();
  }

  startHere() {
    const { answer } = this.chosen, { frame } = this.player;
    if (answer.isFound) this.set(answer.withStart(frame));
  }

  endHere() {
    const { answer } = this.chosen, { frame } = this.player;
    if (answer.isFound) this.set(answer.withEnd(frame));
  }

  undo() {
    this.chosen.answer.undo();
    this.draw();
  }

  redo() {
    this.chosen.answer.redo();
    this.draw();
  }

  async saveChosen() {
    const { answer, column, index } = this.chosen, { state } = answer;
    if (!answer.isChanged) return;
    try {
      this.say(await this.save({ document: answer.document(), column, index }));
      answer.markSaved(state);
    } catch (error) {
      this.say(`not saved: ${error.message}`);
    }
    this.draw();
  }

  exportAll() {
    const { rows, title } = this.columns[this.chosen.column];
    const predictions = rows.map(({ answer }) => answer.document());
    const name = `${stemOf(predictions[0].video.path)}.${title}.json`;
    download({ format: "stvg.predictions/1", predictions }, name);
    this.say(`exported as ${safe(name)}`);
  }

  /** Go to the box of the chosen answer in the frame that is shown. */
  editBox() {
    this.video.pause();
    this.draw();
    const found = this.stages[this.chosen.column].focusBox();
    if (!found) this.say("the answer has no box in this frame");
  }

  /** Show everything anew. */
  draw() {
    this.timeline.draw(this.chosen);
    this.panel.draw();
    this.#drawFrame();
  }

  #drawFrame() {
    for (const stage of this.stages) stage.draw();
    const { player, controls } = this, { frame, time, paused, clock } = player;
    const playing = paused ? "Play" : "Pause";
    if (controls.play.textContent !== playing) controls.play.textContent = playing;
    controls.time.textContent = `${seconds(time)} of ${seconds(clock.duration)} · frame ${frame}`;
    controls.position.value = frame;
    controls.position.setAttribute("aria-valuetext", `${seconds(time)}, frame ${frame}`);
    this.panel.drawFrame();
    this.timeline.drawTime();
  }

  #rowsOf({ title, documents }, column, clock) {
    const rows = documents.map((source, index) => ({
      answer: new Answer(source, clock), draft: draftOf(source), attention: attentionOf(source),
      title, column, index,
    }));
    return { title, rows };
  }

  /** Rows by sentence, in the order in which sentences come; sets colours and labels. */
  #grouped() {
    const groups = new Map();
    for (const { rows } of this.columns) {
      for (const row of rows) {
        const { query } = row.answer;
        if (!groups.has(query)) {
          groups.set(query, { query, number: groups.size + 1, rows: [],
            color: COLORS[groups.size % COLORS.length] });
        }
        const group = groups.get(query), numbers = numbersOf(row.answer.source);
        group.rows.push(row);
        row.color = group.color;
        row.label = [group.number, listed(numbers)].filter(Boolean).join(" · ");
      }
    }
    return [...groups.values()];
  }

  #pictures() {
    return make("div", { class: "stages" }, ...this.stages.map((stage, number) =>
      make("figure", {}, make("figcaption", {}, this.columns[number].title), stage.element)));
  }

  #controls() {
    const { player } = this, { clock } = player;
    const button = (text, name, action) =>
      make("button", { type: "button", "aria-label": name, onclick: action }, text);
    const play = make("button",
      { type: "button", class: "play", onclick: () => player.toggle() }, "Play");
    const position = make("input", { type: "range", min: 0, max: clock.frames - 1, value: 0,
      "aria-label": "position", oninput: () => player.seek(Number(position.value)) });
    const speed = make("select", { "aria-label": "speed",
      onchange: () => this.video.playbackRate = Number(speed.value) },
      ...[0.25, 0.5, 1, 2].map(rate => new Option(`${rate}×`, rate, rate === 1, rate === 1)));
    const time = make("span", { class: "time" });
    const hasHeat = this.columns.some(({ rows }) => rows.some(({ attention }) => attention));
    const heat = make("button", { type: "button", "aria-pressed": "true", hidden: !hasHeat,
      "aria-label": "Heat of attention", onclick: () => this.#toggleHeat() }, "Heat");
    const element = make("div", { class: "controls", role: "group", "aria-label": "video" },
      button("‹", "one frame back", () => player.step(-1)), play,
      button("›", "one frame on", () => player.step(1)), position, time, speed, heat,
      button("?", "keys", () => this.help.showModal()));
    return { element, play, position, time, heat };
  }

  #key(event) {
    if (event.target.closest(TYPING) || event.defaultPrevented) return;
    const { target, shiftKey } = event, isSign = event.getModifierState("AltGraph");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // Caps Lock or not
    const commanded = !isSign && (event.ctrlKey || event.metaKey); // Alt Gr may come as Ctrl Alt
    const action = commanded ? this.#commandOf(key, shiftKey)
      : event.altKey && !isSign ? null : this.#actionOf(key, shiftKey, target);
    if (!action) return;
    event.preventDefault();
    action();
  }

  #commandOf(key, shift) {
    if (key === "z") return () => shift ? this.redo() : this.undo();
    return { y: () => this.redo(), s: () => this.saveChosen() }[key];
  }

  #actionOf(key, shift, target) {
    if (key === " ") return target.closest(PRESSED_BY_SPACE) ? null : () => this.player.toggle();
    if (/^[0-9]$/.test(key)) return () => this.#chooseNumber(Number(key) || 10);
    const { answer } = this.chosen, { player } = this;
    const jump = shift ? Math.max(Math.round(player.clock.fps), 1) : 1;
    return {
      ArrowLeft: () => player.step(-jump),
      ArrowRight: () => player.step(jump),
      Home: () => player.seek(answer.state.first ?? 0),
      End: () => player.seek(answer.state.last ?? player.clock.frames - 1),
      "[": () => this.startHere(),
      "]": () => this.endHere(),
      b: () => this.editBox(),
      h: () => this.#toggleHeat(),
      Delete: () => answer.isKey(player.frame) && this.set(answer.withoutKey(player.frame)),
      "?": () => this.help.showModal(),
    }[key];
  }

  #chooseNumber(number) {
    const group = this.groups[number - 1];
    if (!group) return;
    const at = group.rows.indexOf(this.chosen);
    this.choose(group.rows[(at + 1) % group.rows.length]);
  }

  #toggleHeat() {
    const shows = !this.stages[0].showsHeat;
    for (const stage of this.stages) stage.showsHeat = shows;
    this.controls.heat.setAttribute("aria-pressed", shows);
    this.#drawFrame();
  }
}

function helpDialog() {
  const list = make("dl", {}, ...KEYS.flatMap(([keys, what]) =>
    [make("dt", {}, keys), make("dd", {}, what)]));
  const dialog = make("dialog", { "aria-label": "keys" }, make("h2", {}, "Keys"), list,
    make("p", { class: "quiet" }, "A box that is moved becomes a keyframe. Between two keyframes "
      + "the box goes in a straight line; before the first and behind the last one it stays as the "
      + "method gave it."),
    make("form", { method: "dialog" }, make("button", {}, "Close")));
  return dialog;
}

/** Light, dark, or as the system says; remembered where the browser allows it. */
function themeSwitch() {
  const modes = { "": "System", light: "Light", dark: "Dark" };
  const select = make("select", { "aria-label": "colours" },
    ...Object.entries(modes).map(([value, text]) => new Option(text, value)));
  const apply = () => document.documentElement.style.colorScheme = select.value;
  try { select.value = localStorage.getItem("stvg theme") ?? ""; } catch { /* storage is off */ }
  select.addEventListener("change", () => {
    try { localStorage.setItem("stvg theme", select.value); } catch { /* storage is off */ }
    apply();
  });
  apply();
  return select;
}

/** Let the browser save a value as a JSON file. */
function download(value, name) {
  const text = JSON.stringify(value, null, 1) + "\n";
  saveAs(new Blob([text], { type: "application/json" }), name);
}

function saveAs(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: safe(name) }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

const safe = name => name.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(-120);
const stemOf = path => path.split(/[\\/]/).at(-1).replace(/\.[^.]*$/, "");
