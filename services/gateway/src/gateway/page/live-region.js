// @ts-check
/** Announces replies to screen readers, in whole lines: a live region that grows by deltas is read in fragments. */

import { captionLines } from "./caption-lines.js";

export class LiveRegion {
  /** @param {HTMLElement} region with aria-live */
  constructor(region) {
    this.region = region;
    this.key = "";
    this.announcedPoints = 0;
  }

  /** @param {import("./turn.js").Turn} turn */
  announceTurn(turn) {
    if (turn.ts !== null) return;
    if (turn.key !== this.key) {
      this.key = turn.key;
      this.announcedPoints = 0;
    }
    const points = [...turn.reply];
    const lines = captionLines(points);
    // The last line of a running turn may still grow.
    const whole = turn.status === "running" || turn.status === "pending" ? lines.slice(0, -1) : lines;
    const end = whole.at(-1)?.end ?? 0;
    if (end <= this.announcedPoints) return;
    this.region.textContent = points.slice(this.announcedPoints, end).join("");
    this.announcedPoints = end;
  }

  /** @param {string} text */
  say(text) {
    this.region.textContent = text;
  }
}
