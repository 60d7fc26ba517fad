"use strict";
/* What methods have to show beside their boxes: thinking, drafts, numbers, attention over time.

   Read from "answer" and "details" of a prediction, for the eye only; what an answer *means* is
   decided when it is made, in stvg.text. An answer in another form shows as plain text, and details
   of another form, which may be anybody's, as JSON. */

const WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/** The text of a model in two: what it thought, and the rest. Either may be empty. */
function thinkingOf(source) {
  const text = source.answer ?? "";
  const block = /<(think|think[_ ]bbox)>([\s\S]*?)(?:<\/\1>|$)/gi;
  const thoughts = [...text.matchAll(block)].map(found => found[2].trim());
  return { thinking: thoughts.filter(Boolean).join("\n\n"), rest: text.replace(block, "").trim() };
}

/** By which number the method knows the object: {kind: "number" or "track", value}, or null. */
function numberOf(source) {
  const named = /target\s+ids?\s*:?\s*(\d+|[a-z]+)/gi;
  const said = [...thinkingOf(source).rest.matchAll(named)].at(-1)?.[1].toLowerCase();
  const painted = WORDS.indexOf(said) + 1 || Number.parseInt(said, 10);
  if (Number.isInteger(painted)) return { kind: "number", value: painted };
  const chosen = source.details?.chosen ?? source.details?.candidates?.[0]?.track;
  return Number.isInteger(chosen) ? { kind: "track", value: chosen } : null;
}

/** Boxes that the model drafted before its answer, as [time, xyxy] in order; none for most. */
function draftOf(source) {
  const text = source.answer ?? "";
  const inSeconds = /<think[_ ]bbox>([\s\S]*?)(?:<\/?[a-z]|$)/i.exec(text);
  if (inSeconds) return draftInSeconds(inSeconds[1], source.video);
  const inFrames = /<think>((?:\s*<t_\d+>[\s\d]*)+)/.exec(text);
  return inFrames && source.start_s !== null ? draftInFrames(inFrames[1], text, source) : [];
}

/** "5.[405, 62, 561, 237], ...": seconds, thousandths of the picture. */
function draftInSeconds(list, video) {
  return [...list.matchAll(/(\d+)\.?\s*\[([^\[\]]*)\]/g)]
    .map(([, second, box]) => [
      Math.min(Number(second), video.duration_s), scaled(box.split(","), 1000, video)])
    .filter(([, box]) => box);
}

/** "<t_4> 10 20 30 40 ...": sampled frames, percent. A box stands for the middle of the frames of
    its step; when those are follows from the interval, where frames are spread evenly. */
function draftInFrames(list, text, source) {
  const span = /<time>\s*<t_(\d+)>\s*<t_(\d+)>/.exec(text)?.slice(1).map(Number);
  if (!span || span[1] <= span[0]) return [];
  const rows = [...list.matchAll(/<t_(\d+)>([\s\d]*)/g)]
    .map(([, frame, box]) => [Number(frame), box]);
  const [first, end] = span, [above, below] = source.video.fps.split("/").map(Number);
  const step = rows.length > 1 ? rows[1][0] - rows[0][0] : end - first;
  const apart = (source.end_s - source.start_s) / (end - first); // seconds between sampled frames
  const lead = (apart - (below || 1) / above) / 2; // from where a frame begins to count to itself
  const time = frame => {
    const middle = (Math.max(frame, first) + Math.min(frame + step, end) - 1) / 2;
    return source.start_s + (middle - first) * apart + lead;
  };
  return rows
    .map(([frame, box]) => [time(frame), scaled(box.trim().split(/\s+/), 100, source.video)])
    .filter(([, box]) => box);
}

/** Four texts as a box in pixels, or null. */
function scaled(texts, units, video) {
  const numbers = texts.map(Number);
  if (numbers.length !== 4 || numbers.some(Number.isNaN)) return null;
  return numbers.map((value, i) => value / units * (i % 2 ? video.height : video.width));
}

/** The draft at a time, linear between its boxes; null outside the interval. */
function draftAt(draft, time, source) {
  if (!draft.length || time < source.start_s || time >= source.end_s) return null;
  const after = draft.findIndex(([each]) => each >= time);
  if (after === 0) return draft[0][1];
  if (after < 0) return draft.at(-1)[1];
  const [[from, a], [to, b]] = [draft[after - 1], draft[after]];
  return a.map((value, i) => value + (b[i] - value) * (time - from) / (to - from));
}

/** How much attention the object draws over the whole video, numbers in [0, 1], or none. */
function attentionOf(source) {
  const signal = source.details?.signal;
  return Array.isArray(signal) ? signal.map(value => Number(value) || 0) : [];
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
