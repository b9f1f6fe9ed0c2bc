// @ts-check
/** Reads replies to a screen reader: whole lines only, since a live region that grows by deltas stammers. */

import { captionLines } from "./caption-lines.js";

export class Announcer {
  /** @param {HTMLElement} region with aria-live */
  constructor(region) {
    this.region = region;
    this.key = "";
    this.said = 0;
  }

  /** @param {import("./turn.js").Turn} turn */
  follow(turn) {
    if (turn.ts !== null) return;
    if (turn.key !== this.key) {
      this.key = turn.key;
      this.said = 0;
    }
    const points = [...turn.reply];
    const lines = captionLines(points);
    // The last line may still grow.
    const whole = turn.status === "running" || turn.status === "pending" ? lines.slice(0, -1) : lines;
    const end = whole.at(-1)?.end ?? 0;
    if (end <= this.said) return;
    this.region.textContent = points.slice(this.said, end).join("");
    this.said = end;
  }

  /** @param {string} text */
  say(text) {
    this.region.textContent = text;
  }
}
