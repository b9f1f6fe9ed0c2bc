// @ts-check
/** A lock of hair: two edges from the root to the tip. It bends more with the distance from the root. */

import { draw, INK, n } from "./paint.js";

/** Share of the bend for each of the seven points. */
const WEIGHTS = [0, 0.16, 0.62, 1, 0.62, 0.16, 0];

/** @typedef {[number, number]} Point */

export class Strand {
  /**
   * @param {Point[]} points root, two handles, tip, two handles, root
   * @param {string} paint
   * @param {{sway?: number, width?: number, edge?: string}} [style] `sway`: factor for the bend of this lock
   */
  constructor(points, paint, { sway = 1, width = 2, edge = INK } = {}) {
    this.points = points;
    this.sway = sway;
    this.element = draw("path", { fill: paint, stroke: width ? edge : "none", "stroke-width": width, "stroke-linejoin": "round", "stroke-linecap": "round" });
    this.bend(0, 0);
  }

  /** The lock mirrored to the other side of the face. @param {Point[]} points @returns {Point[]} */
  static mirrored(points) {
    return points.map(([x, y]) => [600 - x, y]);
  }

  /** @param {number} x @param {number} y displacement of the tip */
  bend(x, y) {
    const at = this.points.map(([px, py], i) => `${n(px + x * this.sway * WEIGHTS[i])} ${n(py + y * this.sway * WEIGHTS[i])}`);
    this.element.setAttribute("d", `M${at[0]}C${at[1]} ${at[2]} ${at[3]}C${at[4]} ${at[5]} ${at[6]}`);
  }
}
