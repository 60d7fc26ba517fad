"use strict";
/* The chosen answer: what can be done with it, and what stands behind it.

   The panel is built when another answer is chosen and then kept up to date, so that a button keeps
   the focus when it is pressed and what was unfolded stays so. */

const MOST_TEXT = 100000; // signs of a text that are shown
const MOST_ROWS = 100; // of a table

/** Sentence, facts, buttons, warnings and evidence. */
class Panel {
  #row = null;

  /** @param viewer Whose chosen answer is shown, and who does what the buttons say. */
  constructor(viewer) {
    this.viewer = viewer;
    this.element = make("section", { class: "panel", "aria-label": "the chosen answer" });
  }

  /** Show the state of the chosen answer. */
  draw() {
    if (this.#row !== this.viewer.chosen) this.#build();
    const { answer, title } = this.#row, { parts } = this;
    parts.facts.textContent = [title, factsOf(answer)].join(" · ");
    for (const name of ["start", "end", "unkey"]) parts[name].hidden = !answer.isFound;
    parts.mark.hidden = answer.isFound;
    parts.undo.disabled = !answer.canUndo;
    parts.redo.disabled = !answer.canRedo;
    parts.original.disabled = answer.state === answer.original();
    parts.save.disabled = !answer.isChanged;
  }

  /** Show what depends on the frame. */
  drawFrame() {
    this.parts.unkey.disabled = !this.#row.answer.isKey(this.viewer.player.frame);
  }

  #build() {
    const { viewer } = this, { answer, title } = this.#row = viewer.chosen, { source } = answer;
    const here = () => viewer.player.frame;
    const button = (text, action, name = null) =>
      make("button", { type: "button", onclick: action, "aria-label": name }, text);
    const mark = () => {
      viewer.set(answer.begun(here()));
      viewer.editBox();
    };
    this.parts = {
      facts: make("p", { class: "quiet" }),
      mark: button("Mark by hand", mark),
      start: button("Start here", () => viewer.startHere()),
      end: button("End here", () => viewer.endHere()),
      unkey: button("Remove keyframe", () => viewer.set(answer.withoutKey(here()))),
      undo: button("Undo", () => viewer.undo()),
      redo: button("Redo", () => viewer.redo()),
      original: button("Original", () => viewer.set(answer.original()),
        "Original: back to the answer as it was"),
      save: make("button",
        { type: "button", class: "main", onclick: () => viewer.saveChosen() }, "Save"),
      exportAll: button("Export all", () => viewer.exportAll(),
        `Export all answers of ${title} as JSON`),
    };
    const { facts, ...buttons } = this.parts;
    const warnings = source.warnings.map(text => make("li", {}, text));
    this.element.replaceChildren(
      make("h2", {}, source.query), facts,
      make("div", { class: "actions" }, ...Object.values(buttons)),
      ...(warnings.length ? [make("ul", { class: "warnings" }, ...warnings)] : []),
      ...evidenceOf(source));
  }
}

/** What stands behind an answer, each part folded: thinking, text, objects, the rest. */
function evidenceOf(source) {
  const { thinking, rest } = thinkingOf(source), { details = {} } = source;
  const objects = objectsOf(source), cues = Object.entries(details.cues ?? {});
  const spent = Object.entries(source.timing_s);
  const isChosen = object => `${object.name}${object.isChosen ? " (chosen)" : ""}`;
  return [
    thinking && folded("Thinking", () => textOf(thinking)),
    rest && folded("Answer of the model", () => textOf(rest)),
    objects.length && folded("Objects weighed", () => tableOf(["object", "score"],
      objects.map(object => [isChosen(object), object.score.toFixed(3)]))),
    cues.length && folded("Cues", () => tableOf(["cue", "score"],
      cues.map(([name, value]) => [name, Number(value).toFixed(2)]))),
    Object.keys(details).length
      && folded("All details", () => textOf(JSON.stringify(details, null, 1))),
    spent.length && folded("Time spent", () => tableOf(["stage", "seconds"],
      spent.map(([name, value]) => [name, value.toFixed(2)]))),
  ].filter(Boolean);
}

/** A title that unfolds; the content is made when it is asked for. */
function folded(title, content) {
  const element = make("details", {}, make("summary", {}, title));
  element.addEventListener("toggle", () => element.append(content()), { once: true });
  return element;
}

function textOf(text) {
  const more = text.length - MOST_TEXT;
  const note = more > 0 ? `\n… and ${more} more signs, which are in the file` : "";
  return make("pre", { tabindex: 0 }, text.slice(0, MOST_TEXT) + note);
}

function tableOf(head, rows) {
  return make("table", {},
    make("tr", {}, ...head.map(text => make("th", { scope: "col" }, text))),
    ...rows.slice(0, MOST_ROWS).map(row =>
      make("tr", {}, ...row.map(text => make("td", {}, text)))));
}
