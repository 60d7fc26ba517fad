"use strict";
/* Time, boxes and their correction, as plain values: nothing here knows the page.

   Times are seconds from the first frame, intervals are half-open, boxes are [x1, y1, x2, y2] in
   pixels of the original frame: the same as in stvg.prediction/1, which goes in and comes out. */

const CORRECTED = "corrected by hand";
const SMALLEST_BOX = 2; // pixels
const SAME_FRAME_S = 5e-4; // players round the times of frames

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Index of the last of ascending values that is not above a limit; -1 where all are. */
function lastUpTo(values, limit) {
  let low = -1, high = values.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (values[middle] <= limit) low = middle; else high = middle - 1;
  }
  return low;
}

/** When each frame of a video is shown. */
class FrameClock {
  /**
   * @param video The "video" of a prediction.
   * @param documents Predictions on it: their boxes say when the frames of their intervals appear.
   * @param times Time of every frame, or null where only the predictions tell.
   */
  constructor(video, documents, times = null) {
    this.frames = video.frames;
    const [above, below] = video.fps.split("/").map(Number);
    this.fps = above / (below || 1);
    const boxes = documents.flatMap(each => each.boxes);
    const known = new Map(boxes.map(box => [box.frame, box.time_s]));
    this.times = times ? [...times] : this.#estimated(known, video.duration_s);
    this.duration = Math.max(video.duration_s, this.times.at(-1) ?? 0);
    this.times.push(this.duration);
  }

  /** When a frame appears; `frames` is the end of the video. */
  time(frame) {
    return this.times[clamp(frame, 0, this.frames)];
  }

  /** The frame that is on screen at a time. */
  at(time) {
    const found = Math.min(lastUpTo(this.times, time + SAME_FRAME_S), this.frames - 1);
    return Math.max(found, 0);
  }

  /** A constant rate where it fits what is known, else known times and even steps between them. */
  #estimated(known, duration) {
    const even = frame => frame / this.fps;
    const fits = [...known].every(([frame, time]) => Math.abs(even(frame) - time) < SAME_FRAME_S);
    if (fits) {
      return Array.from({ length: this.frames }, (_, frame) => known.get(frame) ?? even(frame));
    }
    const anchors = [...known].sort((a, b) => a[0] - b[0]);
    if (anchors[0][0] > 0) anchors.unshift([0, 0]);
    const [last, lastTime] = anchors.at(-1);
    anchors.push([this.frames, Math.max(duration, lastTime + even(this.frames - last))]);
    const times = [];
    for (let i = 0; i + 1 < anchors.length; i++) {
      const [[from, start], [to, end]] = [anchors[i], anchors[i + 1]];
      for (let frame = from; frame < to; frame++) {
        times.push(start + (end - start) * (frame - from) / (to - from));
      }
    }
    return times;
  }
}

/** One answer and how it was corrected.

    A correction is an interval, which begins and ends at frames, and keyframes: frames whose box
    was set by hand. Between two keyframes boxes are linear in time. Before the first and behind the
    last keyframe they are the method's; frames that it gave no box repeat the nearest one. */
class Answer {
  #source;
  #clock;
  #given;
  #past = [];
  #future = [];
  #original;
  #saved;

  /**
   * @param source A stvg.prediction/1 document.
   * @param clock The times of the video's frames.
   */
  constructor(source, clock) {
    this.#source = source;
    this.#clock = clock;
    this.#given = new Map(source.boxes.map(box => [box.frame, box]));
    const found = source.boxes.length > 0;
    const named = source.details?.corrected?.keyframes;
    const frames = Array.isArray(named) ? named : [];
    this.state = {
      start: source.start_s, end: source.end_s,
      first: found ? source.boxes[0].frame : null, last: found ? source.boxes.at(-1).frame : null,
      keys: new Map(frames.filter(frame => this.#given.has(frame))
        .map(frame => [frame, this.#given.get(frame).xyxy])),
    };
    this.#original = this.#saved = this.state;
  }

  get source() { return this.#source; }
  get query() { return this.#source.query; }
  get isFound() { return this.state.first !== null; }
  get isChanged() { return this.state !== this.#saved; }
  get canUndo() { return this.#past.length > 0; }
  get canRedo() { return this.#future.length > 0; }

  holds(frame) {
    return this.isFound && frame >= this.state.first && frame <= this.state.last;
  }

  isKey(frame) {
    return this.holds(frame) && this.state.keys.has(frame);
  }

  /** The entry of "boxes" for a frame, or null outside the interval. */
  boxAt(frame) {
    if (!this.holds(frame)) return null;
    const { keys } = this.state;
    const entry = (xyxy, kind) => ({ frame, time_s: this.#clock.time(frame), xyxy, kind });
    if (keys.has(frame)) {
      const given = this.#given.get(frame);
      return given?.xyxy === keys.get(frame) ? given : entry(keys.get(frame), "predicted");
    }
    const [before, after] = this.#around(keys, frame);
    if (before !== null && after !== null) {
      const [from, now, to] = [before, frame, after].map(each => this.#clock.time(each));
      const share = (now - from) / (to - from), a = keys.get(before), b = keys.get(after);
      return entry(a.map((value, i) => value + share * (b[i] - value)), "interpolated");
    }
    if (this.#given.has(frame)) return this.#given.get(frame);
    return entry(this.#nearest(frame), "interpolated");
  }

  /** States with another start, end or box; `set` makes one of them the answer. */
  withStart(frame) {
    const first = clamp(frame, 0, this.state.last);
    return { ...this.state, first, start: this.#clock.time(first) };
  }

  withEnd(frame) {
    const last = clamp(frame, this.state.first, this.#clock.frames - 1);
    return { ...this.state, last, end: this.#clock.time(last + 1) };
  }

  withBox(frame, xyxy) {
    const { width, height } = this.#source.video;
    const x = [xyxy[0], xyxy[2]].map(value => clamp(value, 0, width)).sort((a, b) => a - b);
    const y = [xyxy[1], xyxy[3]].map(value => clamp(value, 0, height)).sort((a, b) => a - b);
    if (x[1] - x[0] < SMALLEST_BOX || y[1] - y[0] < SMALLEST_BOX) return this.state;
    const keys = new Map(this.state.keys).set(frame, [x[0], y[0], x[1], y[1]]);
    return { ...this.state, keys };
  }

  withoutKey(frame) {
    const keys = new Map(this.state.keys);
    keys.delete(frame);
    return this.isFound && (keys.size || this.#given.size) ? { ...this.state, keys } : this.state;
  }

  /** Where nothing was found: a box in the middle for a second from a frame on. */
  begun(frame) {
    const { width, height } = this.#source.video;
    const last = this.#clock.at(Math.min(this.#clock.time(frame) + 1, this.#clock.duration));
    const box = [width / 3, height / 3, 2 * width / 3, 2 * height / 3];
    return {
      first: frame, last, start: this.#clock.time(frame), end: this.#clock.time(last + 1),
      keys: new Map([[frame, box]]),
    };
  }

  /** As it was when the page was opened. */
  original() {
    return this.#original;
  }

  /** Take a state; `before` is what undo comes back to. */
  set(state, before = this.state) {
    this.state = state;
    if (state === before) return;
    this.#past.push(before);
    this.#future = [];
  }

  undo() {
    if (!this.canUndo) return;
    this.#future.push(this.state);
    this.state = this.#past.pop();
  }

  redo() {
    if (!this.canRedo) return;
    this.#past.push(this.state);
    this.state = this.#future.pop();
  }

  /** From now on the answer is saved in this state. */
  markSaved(state) {
    this.#saved = state;
  }

  /** The answer as a stvg.prediction/1 document; the one that came in where nothing was changed. */
  document() {
    if (!this.#past.length) return this.#source;
    const { first, last, start, end, keys } = this.state;
    const { details, warnings } = this.#source;
    const boxes = [];
    for (let frame = first; this.isFound && frame <= last; frame++) boxes.push(this.boxAt(frame));
    const keyframes = [...keys.keys()].filter(frame => this.holds(frame)).sort((a, b) => a - b);
    return {
      ...this.#source, start_s: start, end_s: end, boxes,
      warnings: warnings.includes(CORRECTED) ? warnings : [...warnings, CORRECTED],
      details: { ...details, corrected: { keyframes } },
    };
  }

  /** The nearest keys before and after a frame, null where there is none. */
  #around(keys, frame) {
    let before = null, after = null;
    for (const key of keys.keys()) {
      if (key < frame && (before === null || key > before)) before = key;
      if (key > frame && (after === null || key < after)) after = key;
    }
    return [before, after];
  }

  /** The box of the nearest frame that has one; the given ones follow on each other. */
  #nearest(frame) {
    const { boxes } = this.#source;
    let best = Infinity, box = null;
    if (boxes.length) {
      const nearest = clamp(frame, boxes[0].frame, boxes.at(-1).frame);
      [best, box] = [Math.abs(nearest - frame), this.#given.get(nearest).xyxy];
    }
    for (const [key, xyxy] of this.state.keys) {
      if (Math.abs(key - frame) <= best) [best, box] = [Math.abs(key - frame), xyxy];
    }
    return box;
  }
}
