// @ts-check
/** The face apart from eyes and mouth: skin, ears, cheeks, nose, neck. */

import { draw, fill, glow, gradient, group, INK, line, n, SKIN, SKIN_SHADE } from "./paint.js";

const OUTLINE = "M198 230C194 296 204 336 232 362C256 385 282 402 300 402C318 402 344 385 368 362C396 336 406 296 402 230C398 140 202 140 198 230Z";

export const FACE_PAINTS = [
  gradient("skin", [0, 180, 0, 402], [[0, "#ffeee6"], [0.7, SKIN], [1, "#fddccf"]]),
  gradient("neck", [0, 384, 0, 470], [[0, "#f0b4a8"], [0.45, "#fbd3c5"], [1, "#ffe3d7"]]),
  glow("cheek", [[0, "#ff7f97", 0.75], [0.55, "#ff8fa3", 0.4], [1, "#ff9fb0", 0]]),
  draw("clipPath", { id: "face-clip" }, [draw("path", { d: OUTLINE })]),
];

export class Face {
  constructor() {
    this.neck = group([
      fill("M270 370C272 410 270 430 246 446C262 478 338 478 354 446C330 430 328 410 330 370Z", "url(#neck)"),
      line("M270 398C271 420 266 434 247 446M330 398C329 420 334 434 353 446", 2, INK, { opacity: 0.8 }),
    ]);
    this.skin = group([
      fill("M202 286C186 276 180 296 188 316C194 330 204 334 210 328ZM398 286C414 276 420 296 412 316C406 330 396 334 390 328Z", SKIN, { stroke: INK, "stroke-width": 2 }),
      fill(OUTLINE, "url(#skin)", { stroke: INK, "stroke-width": 2.2 }),
    ]);
    this.cheeks = group([cheek(240), cheek(360)]);
    this.features = group([this.cheeks, fill("M297 334Q302 331 303 337Q300 339 297 337Z", SKIN_SHADE), line("M299 338.5Q301.5 339 303 337.6", 1.6, "#d98f86")]);
  }

  /** @param {number} amount 0..1 */
  blush(amount) {
    this.cheeks.setAttribute("opacity", String(n(amount)));
  }
}

/** @param {number} x */
function cheek(x) {
  const strokes = [-9, -1, 7].map((dx) => `M${x + dx + 3} 337l-5 9`).join("");
  return group([draw("ellipse", { cx: x, cy: 342, rx: 25, ry: 14, fill: "url(#cheek)" }), line(strokes, 1.8, "#f2758c", { opacity: 0.65 })]);
}
