"use strict";
/* One row an answer under the picture: when, how sure, and handles to correct the interval. */

const MARKS_APART = 1 / 500; // of the duration

const seconds = time => `${time.toFixed(2)} s`;

/** Rows in the order of the sentences, below each other those of several methods. */
class Timeline {
  /**
   * @param player Whose frame the mark on the rows follows.
   * @param groups [{query, number, color, rows}], a row is {answer, label, title, color}.
   * @param choose Called with the row that a person picks.
   * @param changed Called after an edit.
   */
  constructor(player, groups, choose, changed) {
    Object.assign(this, { player, choose, changed, parts: new Map() });
    this.element = make("section", { class: "timeline", "aria-label": "timeline" });
    for (const group of groups) this.element.append(this.#group(group));
  }

  /** Show the state of all rows. */
  draw(chosen) {
    for (const [row, part] of this.parts) {
      part.element.classList.toggle("chosen", row === chosen);
      part.pick.setAttribute("aria-pressed", row === chosen);
      this.#drawRow(row, part);
    }
    this.drawTime();
  }

  /** Move the mark of the current time. */
  drawTime() {
    this.element.style.setProperty("--now", this.player.time / this.player.clock.duration);
  }

  #group({ query, number, color, rows }) {
    const badge = make("span", { class: "badge" }, String(number));
    Object.assign(badge.style, { background: color, color: inkOn(color) });
    return make("div", { class: "group" },
      make("h2", {}, badge, query), ...rows.map(row => this.#row(row, query)));
  }

  #row(row, query) {
    const where = `of “${query}”, ${row.title}`;
    const pick = make("button", { type: "button", class: "pick",
      "aria-label": `choose the answer ${where}`, onclick: () => this.choose(row) }, row.title);
    const bar = make("div", { class: "bar" });
    const start = this.#handle(row, "start", `start ${where}`);
    const end = this.#handle(row, "end", `end ${where}`);
    const keys = make("div", { class: "keys", "aria-hidden": "true" });
    const heat = heatOf(signalOf(row.answer.source));
    const track = make("div", { class: "track" }, ...heat, bar, keys, start, end);
    track.style.setProperty("--color", row.color);
    track.addEventListener("pointerdown", event => this.#seek(event, track, row));
    const facts = make("span", { class: "facts" });
    const element = make("div", { class: "row" }, pick, track, facts);
    this.parts.set(row, { element, pick, bar, start, end, keys, facts });
    return element;
  }

  #handle(row, side, name) {
    const handle = make("span", { class: `end ${side}`, role: "slider", tabindex: 0,
      "aria-label": name, "aria-valuemin": 0, "aria-valuemax": this.player.clock.duration });
    handle.addEventListener("pointerdown", event => this.#drag(event, row, side));
    handle.addEventListener("keydown", event => this.#key(event, row, side));
    return handle;
  }

  #drawRow({ answer }, part) {
    const { state } = answer, { duration } = this.player.clock;
    const percent = time => `${100 * time / duration}%`;
    for (const each of [part.bar, part.start, part.end]) each.hidden = !answer.isFound;
    part.keys.replaceChildren();
    part.facts.textContent = factsOf(answer);
    if (!answer.isFound) return;
    part.bar.style.left = percent(state.start);
    part.bar.style.width = percent(state.end - state.start);
    for (const [side, frame] of [["start", state.first], ["end", state.last]]) {
      part[side].style.left = percent(state[side]);
      part[side].setAttribute("aria-valuenow", state[side]);
      part[side].setAttribute("aria-valuetext", `${seconds(state[side])}, frame ${frame}`);
    }
    for (const share of marksOf(answer, this.player.clock)) {
      const mark = make("i");
      mark.style.left = `${100 * share}%`;
      part.keys.append(mark);
    }
  }

  #seek(event, track, row) {
    if (event.button !== 0) return;
    const edge = track.getBoundingClientRect();
    const go = now => this.player.seek(this.#frameAt(now.clientX, edge));
    go(event);
    follow(event, go, () => this.choose(row));
  }

  #frameAt(x, edge) {
    const share = clamp((x - edge.left) / edge.width, 0, 1);
    return this.player.clock.at(share * this.player.clock.duration);
  }

  #drag(event, row, side) {
    if (event.button !== 0) return;
    event.stopPropagation();
    this.choose(row);
    this.player.video.pause();
    const { answer } = row, before = answer.state, { clock } = this.player;
    const edge = event.currentTarget.parentElement.getBoundingClientRect();
    const move = now => {
      const share = clamp((now.clientX - edge.left) / edge.width, 0, 1);
      const frame = nearestBorder(clock, share * clock.duration);
      answer.state = before;
      answer.state = side === "start" ? answer.withStart(frame) : answer.withEnd(frame - 1);
      this.player.seek(side === "start" ? answer.state.first : answer.state.last);
      this.#drawRow(row, this.parts.get(row));
    };
    follow(event, move, () => {
      answer.set(answer.state, before);
      this.changed();
    });
  }

  #key(event, row, side) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const { answer } = row, { state } = answer;
    answer.set(side === "start" ? answer.withStart(state.first + step)
      : answer.withEnd(state.last + step));
    this.player.seek(side === "start" ? answer.state.first : answer.state.last);
    this.choose(row);
    this.changed();
  }
}

/** Where keyframes are, shares of the duration; of those that would lie on each other the first. */
function marksOf(answer, clock) {
  const shares = [...answer.state.keys.keys()].filter(key => answer.holds(key))
    .map(key => clock.time(key) / clock.duration).sort((a, b) => a - b);
  const found = [];
  for (const share of shares) {
    if (!found.length || share - found.at(-1) >= MARKS_APART) found.push(share);
  }
  return found;
}

/** The border between two frames (0 is the start of the video) that is nearest to a time. */
function nearestBorder(clock, time) {
  const frame = clock.at(time);
  return time - clock.time(frame) < clock.time(frame + 1) - time ? frame : frame + 1;
}

/** Interval, confidence and number in a few words. */
function factsOf(answer) {
  const { state, source } = answer, numbers = numbersOf(source), track = trackOf(source);
  const interval = `${state.start?.toFixed(2)}–${state.end?.toFixed(2)} s`;
  const facts = [answer.isFound ? interval : "not found"];
  if (source.score !== null) facts.push(`confidence ${source.score.toFixed(2)}`);
  if (numbers.length) facts.push(listed(numbers));
  else if (track !== null) facts.push(`track ${track}`);
  if (answer.isChanged) facts.push("not saved");
  return facts.join(" · ");
}

/** Attention over time as a strip, where the method has it. */
function heatOf(signal) {
  if (!signal.length) return [];
  const strip = make("div", { class: "heat", role: "img",
    "aria-label": "attention on the object over the video" });
  for (const value of signal) {
    const cell = make("i");
    cell.style.opacity = value.toFixed(3);
    strip.append(cell);
  }
  return [strip];
}
