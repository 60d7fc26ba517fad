"use strict";
/* Masks as predictions have them: COCO's compressed run lengths, column by column. */

/** Lengths of background and object by turns, or null where the text means none.

    A number is written in groups of five bits, the lowest first, as signs from "0" on; from the
    fourth number on it is the difference to the one before the last. */
function runsOf(counts) {
  const runs = [];
  for (let at = 0; at < counts.length;) {
    let value = 0, shift = 0, part;
    do {
      part = counts.charCodeAt(at++) - 48;
      value |= (part & 31) << shift;
      shift += 5;
    } while (part & 32);
    if (part & 16) value |= -1 << shift;
    if (runs.length > 2) value += runs.at(-2);
    if (!(value >= 0)) return null;
    runs.push(value);
  }
  return runs;
}

/** A mask as rectangles [x, y, width, height] in pixels; none where it does not fit the video.

    @param mask {size: [height, width], counts}, or null or undefined for none.
    @param video {width, height}. */
function rectanglesOf(mask, { width, height }) {
  if (!mask || mask.size[0] !== height || mask.size[1] !== width) return [];
  const runs = runsOf(mask.counts);
  if (runs?.reduce((sum, run) => sum + run, 0) !== width * height) return [];
  const found = [];
  let start = 0;
  runs.forEach((run, i) => {
    if (i % 2) found.push(...columnsOf(start, start + run, height));
    start += run;
  });
  return found;
}

/** A run of pixels as at most three rectangles: a part of a column, whole columns, a part. */
function columnsOf(start, end, height) {
  const found = [];
  while (start < end) {
    const x = Math.floor(start / height), y = start % height;
    const whole = y ? 0 : Math.floor((end - start) / height);
    found.push(whole ? [x, 0, whole, height] : [x, y, 1, Math.min(end - start, height - y)]);
    start += whole ? whole * height : found.at(-1)[3];
  }
  return found;
}
