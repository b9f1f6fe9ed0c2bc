// @ts-check
/** The mouth: a line while it is closed, else an opening with teeth and tongue, after the lip-sync shape. */

import { draw, fill, gradient, group, line, n, SKIN_SHADE } from "./paint.js";

export const LIP_PAINTS = [gradient("throat", [0, 350, 0, 390], [[0, "#5e1b36"], [1, "#a83a52"]])];

const X = 300;
const Y = 360;
const EDGE = "#8d3a50";

export class Lips {
  constructor() {
    this.opening = draw("path");
    this.clip = draw("clipPath", { id: "mouth-clip" }, [this.opening]);
    this.inside = fill("", "url(#throat)");
    this.tongue = draw("ellipse", { cx: X, rx: 15, ry: 9, fill: "#f4939c" });
    this.teeth = draw("rect", { x: X - 24, width: 48, height: 12, rx: 4, fill: "#fffaf6" });
    this.hollow = group([this.inside, this.tongue, this.teeth], { "clip-path": "url(#mouth-clip)" });
    this.upper = line("", 2.8, EDGE);
    this.lower = line("", 1.8, EDGE, { opacity: 0.8 });
    this.shade = line("", 2.4, SKIN_SHADE);
    this.element = group([this.hollow, this.lower, this.upper, this.shade]);
  }

  /**
   * @param {import("../lip-sync.js").MouthShape} shape from lip sync
   * @param {number} smile -1..1
   * @param {number} pout 0..1: makes the mouth small and round, for a thinking or startled pose
   */
  show(shape, smile, pout) {
    const round = Math.min(1, shape.round + pout * 0.9);
    const open = Math.max(0, shape.open);
    const half = 16 + shape.wide * 8 + open * 3 - round * 8.5 - shape.press * 2;
    const high = open * 27 * (1 - round * 0.12);
    const corner = Y - smile * 3.2 * (1 - round * 0.6) + open * 3;
    const top = Y - high * 0.24 + smile * 2.2 * (1 - Math.min(1, open * 3));
    const bottom = Math.max(top, Y + high * 0.86 + smile * 4.4 * (1 - Math.min(1, open * 2)));
    // The midpoint of a symmetric cubic is 3/4 of its handles plus 1/4 of its ends.
    const handle = (/** @type {number} */ middle) => n((middle - corner * 0.25) / 0.75);
    const spread = 0.42 + round * 0.12;
    const left = `${n(X - half)} ${n(corner)}`;
    const right = `${n(X + half)} ${n(corner)}`;
    const closing = smile * 4.4 * (1 - Math.min(1, open * 2));
    const over = `M${left}C${n(X - half * spread)} ${handle(top + closing * 0.5)} ${n(X + half * spread)} ${handle(top + closing * 0.5)} ${right}`;
    const full = 0.78 + round * 0.1;
    const under = `C${n(X + half * full)} ${handle(bottom)} ${n(X - half * full)} ${handle(bottom)} ${left}`;
    const parted = high > 1.6;
    this.hollow.setAttribute("display", parted ? "inline" : "none");
    this.lower.setAttribute("display", parted ? "inline" : "none");
    this.upper.setAttribute("d", over);
    this.shade.setAttribute("d", `M${X - 6} ${n(bottom + 8)}Q${X} ${n(bottom + 9.5)} ${X + 6} ${n(bottom + 8)}`);
    if (!parted) return;
    this.opening.setAttribute("d", `${over}${under}Z`);
    this.inside.setAttribute("d", `${over}${under}Z`);
    this.lower.setAttribute("d", `M${right}${under}`);
    this.tongue.setAttribute("cy", String(n(bottom - high * (0.02 + shape.tongue * 0.3))));
    this.tongue.setAttribute("rx", String(n(half * 0.72)));
    this.tongue.setAttribute("ry", String(n(2 + high * 0.3)));
    const bite = Math.min(high * 0.42, 2 + shape.teeth * 5 + open * 3);
    this.teeth.setAttribute("y", String(n(top - 12 + bite)));
    this.teeth.setAttribute("opacity", String(n(Math.min(1, 0.25 + shape.teeth * 1.2 + open * 0.5))));
  }
}
