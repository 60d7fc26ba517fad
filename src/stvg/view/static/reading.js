"use strict";
/* What methods have to show beside their boxes: drafts, numbers, attention, thinking.

   Read from "details" of a prediction, where docs/formats.md says what stands, and thinking from
   its "answer". Details may be anybody's: what has another form is passed over here and shows as
   JSON. */

const MOST_CELLS = 1024; // rows or columns of a map, and cells of a strip
const MOST_LISTED = 6; // numbers in a label

const bytesOf = base64 => Uint8Array.from(atob(base64), letter => letter.codePointAt(0));
const isBox = value => Array.isArray(value) && value.length === 4 && value.every(Number.isFinite);

/** The text of a model in two: what it thought, and the rest. Either may be empty. */
function thinkingOf(source) {
  const text = source.answer ?? "";
  const block = /<(think|think[_ ]bbox)>([\s\S]*?)(?:<\/\1>|$)/gi;
  const thoughts = [...text.matchAll(block)].map(found => found[2].trim());
  return { thinking: thoughts.filter(Boolean).join("\n\n"), rest: text.replace(block, "").trim() };
}

/** The painted numbers that the answer names, none for most methods. */
function numbersOf(source) {
  const numbers = source.details?.numbers;
  return Array.isArray(numbers) ? numbers.filter(Number.isInteger) : [];
}

/** Numbers in a few words: "#4, #9". */
function listed(numbers) {
  const shown = numbers.slice(0, MOST_LISTED).map(number => `#${number}`).join(", ");
  return numbers.length > MOST_LISTED ? `${shown} and ${numbers.length - MOST_LISTED} more` : shown;
}

/** Number of the track that was chosen, or null. */
function trackOf(source) {
  const chosen = source.details?.chosen ?? source.details?.candidates?.[0]?.track;
  return Number.isInteger(chosen) ? chosen : null;
}

/** Boxes that the model drafted before its answer, in order of time: {times, boxes}. */
function draftOf(source) {
  const found = source.details?.draft;
  const steps = (Array.isArray(found) ? found : [])
    .filter(step => Number.isFinite(step?.t_s) && isBox(step.box))
    .sort((a, b) => a.t_s - b.t_s);
  return { times: steps.map(step => step.t_s), boxes: steps.map(step => step.box) };
}

/** The draft at a time, linear between its boxes; null outside the interval of the answer. */
function draftAt({ times, boxes }, time, source) {
  if (!times.length || time < source.start_s || time >= source.end_s) return null;
  const before = lastUpTo(times, time), after = before + 1;
  if (before < 0) return boxes[0];
  if (after === times.length) return boxes[before];
  const share = (time - times[before]) / (times[after] - times[before]);
  return boxes[before].map((value, i) => value + (boxes[after][i] - value) * share);
}

/** Where the model looks: {rows, columns, times, cells, lowest}, maps of bytes, or null. */
function attentionOf(source) {
  const { rows, columns, times_s: times, values } = source.details?.attention ?? {};
  const isSize = value => Number.isInteger(value) && value > 0 && value <= MOST_CELLS;
  if (!isSize(rows) || !isSize(columns) || typeof values !== "string") return null;
  if (!Array.isArray(times) || !times.length || !times.every(Number.isFinite)) return null;
  try {
    const cells = bytesOf(values);
    if (cells.length !== times.length * rows * columns) return null;
    return { rows, columns, times, cells, lowest: cells.reduce((a, b) => Math.min(a, b)) };
  } catch {
    return null; // not base64
  }
}

/** The bytes of the map whose time is nearest. */
function mapAt({ rows, columns, times, cells }, time) {
  const before = Math.max(lastUpTo(times, time), 0);
  const after = Math.min(before + 1, times.length - 1);
  const step = time - times[before] <= times[after] - time ? before : after;
  return cells.subarray(step * rows * columns, (step + 1) * rows * columns);
}

/** How much attention the object draws over the whole video, numbers in [0, 1], or none.

    Of a long video each number is the highest of its stretch. */
function signalOf(source) {
  const signal = source.details?.signal;
  if (!Array.isArray(signal)) return [];
  const count = Math.min(signal.length, MOST_CELLS), found = new Array(count).fill(0);
  signal.forEach((value, i) => {
    const cell = Math.floor(i * count / signal.length);
    found[cell] = Math.max(found[cell], clamp(Number(value) || 0, 0, 1));
  });
  return found;
}

/** The objects that were weighed, best first: [{name, score, isChosen}]. */
function objectsOf(source) {
  const { candidates, objects, chosen } = source.details ?? {};
  const found = Array.isArray(candidates) ? candidates : Array.isArray(objects) ? objects : [];
  const best = chosen ?? found[0]?.track;
  return found
    .filter(each => typeof each?.score === "number")
    .map(each => ({ name: `${each.label} ${each.track}`, score: each.score,
      isChosen: each.track === best }))
    .sort((a, b) => b.score - a.score);
}
