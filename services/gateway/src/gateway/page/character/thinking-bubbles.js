// @ts-check
/** Three bubbles beside the head during THINKING. */

import { draw, group, n } from "./paint.js";
import { Spring } from "./spring.js";

/** @type {[number, number, number][]} x, y, radius */
const BUBBLES = [[446, 168, 7], [466, 136, 11], [496, 98, 17]];

export class ThinkingBubbles {
  constructor() {
    this.bubbles = BUBBLES.map(([cx, cy, r]) => draw("circle", { cx, cy, r, fill: "#fff", stroke: "#a594f6", "stroke-width": 2.4 }));
    this.element = group(this.bubbles, { opacity: 0 });
    this.springs = BUBBLES.map((_, i) => new Spring(2.6 - i * 0.5, 0.6));
  }

  /** @param {boolean} thinking @param {number} time s @param {number} seconds @param {number} lively 0..1 */
  show(thinking, time, seconds, lively) {
    let most = 0;
    this.bubbles.forEach((bubble, i) => {
      const [cx, cy, r] = BUBBLES[i];
      const size = Math.max(0, this.springs[i].follow(thinking ? 1 : 0, seconds));
      most = Math.max(most, size);
      bubble.setAttribute("cx", String(n(cx + lively * Math.sin(time * 1.3 + i) * 2)));
      bubble.setAttribute("cy", String(n(cy + lively * Math.sin(time * 2.1 + i * 1.4) * 4)));
      bubble.setAttribute("r", String(n(r * size)));
    });
    this.element.setAttribute("opacity", String(n(Math.min(0.92, most))));
  }
}
