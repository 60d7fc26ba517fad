"use strict";
/* The video and its clock: which frame is on screen now, to the frame.

   Browsers with requestVideoFrameCallback say when they show another frame (mediaTime); for others
   currentTime is read before every repaint. On a busy machine that may be old news; a VideoFrame
   says what a canvas would get now. Seeking aims at the middle of a frame, so that rounding
   never lands on its neighbour. Containers may start at another time than 0: what the first frame
   says is taken for the start (which currentTime does not tell). */

/** Tells "frame" whenever another frame is shown, and "state" when it plays or pauses. */
class Player extends EventTarget {
  #origin = null;
  #target = null;

  /**
   * @param video The <video> element, without a source yet.
   * @param clock Times of the frames.
   */
  constructor(video, clock) {
    super();
    this.video = video;
    this.clock = clock;
    this.frame = 0;
    const tellState = () => this.dispatchEvent(new Event("state"));
    for (const event of ["play", "pause", "ended"]) video.addEventListener(event, tellState);
    video.addEventListener("play", () => this.#target = null);
    for (const event of ["loadeddata", "seeked"]) {
      video.addEventListener(event, () => this.#show(null));
    }
    if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) this.#watchFrames();
    else this.#watchClock();
  }

  get paused() { return this.video.paused || this.video.ended; }
  get hasPicture() { return this.video.readyState >= 2; }
  get time() { return this.clock.time(this.frame); }

  toggle() {
    if (this.paused) this.video.play().catch(() => {}); // a broken video tells its own error
    else this.video.pause();
  }

  /** Show a frame. */
  seek(frame) {
    this.#target = clamp(frame, 0, this.clock.frames - 1);
    const middle = (this.clock.time(this.#target) + this.clock.time(this.#target + 1)) / 2;
    this.video.currentTime = (this.#origin ?? 0) + middle;
  }

  /** Pause and go some frames on or back from the last one asked for, be it there yet or not. */
  step(frames) {
    this.video.pause();
    this.seek((this.#target ?? this.frame) + frames);
  }

  #watchFrames() {
    const shown = (_, { mediaTime }) => {
      this.#show(mediaTime);
      this.video.requestVideoFrameCallback(shown);
    };
    this.video.requestVideoFrameCallback(shown);
  }

  #watchClock() {
    const look = () => {
      if (this.hasPicture) this.#show(this.video.currentTime);
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  /** A frame may be announced before it can be drawn; then "seeked" comes behind it, with null. */
  #show(announced) {
    const time = (this.hasPicture ? this.#timeOfPicture() : null) ?? announced;
    if (time !== null) {
      this.#origin ??= time;
      this.frame = this.clock.at(time - this.#origin);
    }
    if (this.hasPicture) this.dispatchEvent(new Event("frame"));
  }

  /** The time of the picture that a canvas would get now, or null where the browser keeps it. */
  #timeOfPicture() {
    try {
      const picture = new VideoFrame(this.video), { timestamp } = picture;
      picture.close();
      return timestamp / 1e6;
    } catch {
      return null; // an older browser, or a local file that shows another one
    }
  }
}
