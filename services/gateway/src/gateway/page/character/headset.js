// @ts-check
/** Headset and hair clip. The rings glow with the loudness of the speech. */

import { draw, fill, gradient, group, INK, line, n } from "./paint.js";

export const HEADSET_PAINTS = [
  gradient("shell", [0, 250, 0, 340], [[0, "#ffffff"], [1, "#d8d0f2"]]),
  gradient("band", [0, 60, 0, 260], [[0, "#ffffff"], [1, "#cfc5ee"]]),
];

export class Headset {
  constructor() {
    this.band = group([
      line("M174 276C148 20 452 20 426 276", 17, INK),
      line("M174 276C148 20 452 20 426 276", 12.6, "url(#band)"),
      line("M180 240C170 42 430 42 420 240", 2, "#ff93a4", { opacity: 0.9 }),
    ]);
    this.rings = [ring(176), ring(424)];
    this.cups = group([cup(176, this.rings[0]), cup(424, this.rings[1])]);
    this.clip = group([
      star(380, 204, 16, "#ffd76e"),
      star(398, 230, 10, "#ff9fb0"),
    ]);
  }

  /** @param {number} amount 0..1 @param {string} colour */
  shine(amount, colour) {
    for (const each of this.rings) {
      each.setAttribute("stroke", colour);
      each.setAttribute("stroke-opacity", String(n(0.35 + amount * 0.65)));
      each.setAttribute("stroke-width", String(n(4 + amount * 3.5)));
    }
  }
}

/** @param {number} x */
const ring = (x) => draw("ellipse", { cx: x, cy: 298, rx: 11, ry: 20, fill: "#4a3d86", stroke: "#7fe3d2", "stroke-width": 4 });

/** @param {number} x @param {SVGElement} light */
function cup(x, light) {
  const inwards = x < 300 ? 1 : -1;
  return group([
    draw("rect", { x: x + inwards * 10 - 9, y: 262, width: 18, height: 72, rx: 9, fill: "#4a3d86", stroke: INK, "stroke-width": 2 }),
    draw("rect", { x: x - 19, y: 258, width: 38, height: 80, rx: 18, fill: "url(#shell)", stroke: INK, "stroke-width": 2.2 }),
    light,
  ]);
}

/** A star with round points. @param {number} cx @param {number} cy @param {number} r @param {string} paint */
function star(cx, cy, r, paint) {
  const points = Array.from({ length: 10 }, (_, i) => {
    const angle = (i / 10) * 2 * Math.PI - Math.PI / 2 + 0.2;
    const radius = i % 2 ? r * 0.52 : r;
    return `${n(cx + radius * Math.cos(angle))} ${n(cy + radius * Math.sin(angle))}`;
  });
  return fill(`M${points.join("L")}Z`, paint, { stroke: INK, "stroke-width": 2, "stroke-linejoin": "round" });
}
