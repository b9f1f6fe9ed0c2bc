// @ts-check
/**
 * Eyes and brows. Both eyes share one drawing, mirrored by `side`: -1 for the left one, 1 for the
 * right one. The highlights are not mirrored, because the light comes from the left for both.
 */

import { draw, fill, gradient, group, line, n } from "./paint.js";

export const EYE_PAINTS = [
  // In coordinates of the iris, whose centre is 0: the gradient moves with the gaze.
  gradient("iris", [0, -27, 0, 27], [[0, "#0d3f5c"], [0.4, "#1690a8"], [0.72, "#4cd6c8"], [1, "#c9fff0"]]),
  gradient("white", [0, 262, 0, 326], [[0, "#d9d3ee"], [0.35, "#ffffff"], [1, "#ffffff"]]),
];

const LASH = "#2c2350";
const CENTRE_X = 52;
const CENTRE_Y = 298;

/**
 * @typedef {object} Look
 * @property {number} open 0: closed; 1: normal; more: surprised
 * @property {number} smile 0..1: raises the lower lid; a closed eye becomes an arch
 * @property {number} pupil size; 1: normal
 * @property {number} x gaze, -1..1 to the right
 * @property {number} y gaze, -1..1 down
 * @property {number} browUp units of about 8
 * @property {number} browTilt positive: the inner ends are up (worried)
 * @property {number} browSkew positive: one brow is higher than the other (in doubt)
 */

export class Eyes {
  constructor() {
    this.eyes = [new Eye(-1), new Eye(1)];
    this.element = group(this.eyes.map((eye) => eye.element));
    /** Drawn over the fringe, so that the hair does not hide the expression. */
    this.brows = group(this.eyes.map((eye) => eye.brow));
    this.clips = this.eyes.map((eye) => eye.clip);
  }

  /** @param {Look} look */
  show(look) {
    for (const eye of this.eyes) eye.show(look);
  }
}

class Eye {
  /** @param {-1 | 1} side */
  constructor(side) {
    this.side = side;
    this.cx = 300 + side * CENTRE_X;
    const id = `eye-clip-${side < 0 ? "a" : "b"}`;
    this.opening = draw("path");
    this.clip = draw("clipPath", { id }, [this.opening]);
    this.white = fill("", "url(#white)");
    this.iris = group([
      draw("ellipse", { cx: 0, cy: 0, rx: 19.5, ry: 26, fill: "url(#iris)", stroke: "#0b3350", "stroke-width": 2.4 }),
      draw("ellipse", { cx: 0, cy: 14, rx: 13, ry: 9, fill: "#d8fff5", opacity: 0.42 }),
    ]);
    this.pupil = draw("ellipse", { cx: 0, cy: -1, rx: 9, ry: 13, fill: "#0a2440" });
    this.iris.append(this.pupil);
    this.shade = line("", 15, "#4a3d86", { opacity: 0.3 });
    this.lights = group([
      draw("ellipse", { cx: -7.5, cy: -11, rx: 7, ry: 8.6, fill: "#fff" }),
      draw("circle", { cx: 8, cy: 11, r: 3.6, fill: "#fff", opacity: 0.95 }),
      draw("circle", { cx: 10, cy: -6, r: 1.8, fill: "#fff", opacity: 0.8 }),
    ]);
    this.inside = group([this.white, this.iris, this.shade, this.lights], { "clip-path": `url(#${id})` });
    this.lash = fill("", LASH, { stroke: LASH, "stroke-width": 1.2, "stroke-linejoin": "round" });
    this.lower = line("", 2, "#8a5470", { opacity: 0.75 });
    this.crease = line("", 2, "#c98a86", { opacity: 0.8 });
    this.element = group([this.inside, this.lower, this.lash, this.crease]);
    this.brow = fill("", "#43358c", { opacity: 0.92 });
  }

  /** @param {Look} look */
  show(look) {
    const { side, cx } = this;
    const open = Math.max(0, Math.min(1.3, look.open));
    const x = (/** @type {number} */ dx) => n(cx + side * dx);
    const y = (/** @type {number} */ dy) => n(CENTRE_Y + dy);
    const mix = (/** @type {number} */ shut, /** @type {number} */ wide) => shut + (wide - shut) * open;
    // A closed eye curves down in a blink, and arches only with a strong smile.
    const happy = Math.max(0, look.smile - 0.6) * 2.5 * (1 - Math.min(1, open));
    // Bezier handles of the lids while the eye is shut.
    const shutIn = 26 - happy * 44;
    const shutOut = 30 - happy * 52;
    const upIn = mix(shutIn, -36);
    const upOut = mix(shutOut, -44);
    const innerY = mix(11, 8);
    const outerY = mix(9, 2);
    const lid = look.smile * 6;
    const lowOut = open > 0.05 ? mix(shutOut, 33 - lid) : shutOut;
    const lowIn = open > 0.05 ? mix(shutIn, 31 - lid) : shutIn;
    const upper = `M${x(-26)} ${y(innerY)}C${x(-22)} ${y(upIn)} ${x(18)} ${y(upOut)} ${x(30)} ${y(outerY)}`;
    const eye = `${upper}C${x(27)} ${y(lowOut)} ${x(-18)} ${y(lowIn)} ${x(-26)} ${y(innerY)}Z`;
    this.opening.setAttribute("d", eye);
    this.white.setAttribute("d", eye);
    this.shade.setAttribute("d", upper);
    this.inside.setAttribute("display", open < 0.06 ? "none" : "inline");

    const thick = 3.6 + 4.8 * Math.min(1, open);
    const wing = Math.min(1, open) * 0.7 + 0.3;
    // The wing at the outer corner, then back along the upper edge of the lashes.
    this.lash.setAttribute(
      "d",
      `${upper}L${x(31)} ${y(outerY + 8 * wing - 2)}L${x(34)} ${y(outerY + wing)}L${x(39)} ${y(outerY - 9 * wing)}` +
        `C${x(33)} ${y(outerY - 11 * wing)} ${x(31)} ${y(outerY - 11 * wing)} ${x(29)} ${y(outerY - 11 * wing)}` +
        `C${x(16)} ${y(upOut - thick)} ${x(-21)} ${y(upIn - thick)} ${x(-28)} ${y(innerY - 1)}Z`,
    );
    this.lower.setAttribute("d", `M${x(24)} ${y(mix(10, 19 - lid * 0.4))}Q${x(10)} ${y(mix(16, 28 - lid))} ${x(-8)} ${y(mix(16, 26 - lid))}`);
    this.lower.setAttribute("opacity", String(n(Math.min(0.75, open * 1.2))));
    this.crease.setAttribute("d", `M${x(-15)} ${y(mix(2, -29))}Q${x(6)} ${y(mix(-6, -44))} ${x(25)} ${y(mix(-4, -23))}`);

    const px = cx + look.x * 8 - side * 1;
    const py = CENTRE_Y - 2 + look.y * 6;
    this.iris.setAttribute("transform", `translate(${n(px)} ${n(py)})`);
    this.pupil.setAttribute("transform", `scale(${n(look.pupil * 10) / 10})`);
    // Highlights are reflections of a fixed light, so they follow the gaze only in part.
    this.lights.setAttribute("transform", `translate(${n(px - look.x * 2.5)} ${n(py - look.y * 2)})`);
    this.#showBrow(look, x, y);
  }

  /** @param {Look} look @param {(dx: number) => number} x @param {(dy: number) => number} y */
  #showBrow(look, x, y) {
    const up = look.browUp * 8 + (this.side > 0 ? look.browSkew * 7 : look.browSkew * -2);
    const inner = -53 - up - look.browTilt * 7;
    const outer = -52 - up + look.browTilt * 5;
    const arch = -64 - up;
    this.brow.setAttribute(
      "d",
      `M${x(-20)} ${y(inner)}C${x(-6)} ${y(arch)} ${x(14)} ${y(arch - 1)} ${x(31)} ${y(outer)}C${x(14)} ${y(arch + 5)} ${x(-5)} ${y(arch + 6)} ${x(-19)} ${y(inner + 5)}Z`,
    );
  }
}
