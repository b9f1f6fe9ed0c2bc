// @ts-check
/** Her hair, from back to front: the mass behind, the long locks beside the face, the fringe, and the lock that obeys nobody. */

import { draw, fill, gradient, group, line, SKIN_SHADE } from "./paint.js";
import { Spring } from "./spring.js";
import { Strand } from "./strand.js";

/** @typedef {import("./strand.js").Point} Point */

export const HAIR_PAINTS = [
  gradient("hair-front", [0, 84, 0, 310], [[0, "#a594f6"], [0.45, "#8f7cec"], [1, "#7664d6"]]),
  gradient("hair-side", [0, 220, 0, 520], [[0, "#8674e2"], [0.45, "#8f7ae6"], [0.8, "#e796bd"], [1, "#ffb3b8"]]),
  gradient("hair-back", [0, 120, 0, 560], [[0, "#5c4bb3"], [0.55, "#6552bb"], [0.85, "#c476b0"], [1, "#f39bb0"]]),
];

/** @type {Point[][]} */
const FRINGE = [
  [[192, 200], [186, 236], [196, 268], [214, 296], [220, 262], [236, 214], [262, 150]],
  [[392, 170], [402, 214], [404, 258], [392, 300], [414, 276], [420, 236], [410, 190]],
  [[220, 168], [220, 214], [234, 254], [256, 282], [260, 246], [274, 196], [300, 140]],
  [[340, 146], [356, 190], [366, 236], [372, 286], [394, 252], [404, 214], [400, 172]],
  [[312, 132], [322, 186], [328, 232], [334, 276], [352, 244], [366, 200], [362, 146]],
  [[252, 150], [254, 204], [268, 250], [298, 286], [304, 250], [318, 196], [330, 128]],
];

/** @type {Point[][]} */
const SIDE = [
  [[184, 226], [152, 306], [140, 410], [150, 516], [188, 462], [216, 372], [216, 250]],
  [[202, 246], [190, 312], [196, 384], [226, 446], [228, 392], [230, 326], [226, 262]],
];

/** @type {Point[][]} */
const BACK = [
  [[196, 170], [104, 270], [120, 430], [62, 530], [128, 532], [190, 480], [240, 400]],
  [[210, 230], [140, 330], [150, 460], [122, 586], [186, 560], [240, 500], [270, 400]],
];

export class Hair {
  constructor() {
    const front = "url(#hair-front)";
    this.fringe = FRINGE.map((points, i) => new Strand(points, front, { sway: 0.8 + (i % 3) * 0.15 }));
    this.shadows = FRINGE.map((points) => new Strand(points.map(([x, y]) => [x + 1, y + 11]), SKIN_SHADE, { width: 0 }));
    this.sides = [...SIDE, ...SIDE.map(Strand.mirrored)].map((points, i) => new Strand(points, "url(#hair-side)", { sway: i % 2 ? 0.8 : 1.15 }));
    this.backs = [...BACK, ...BACK.map(Strand.mirrored)].map((points, i) => new Strand(points, "url(#hair-back)", { sway: i % 2 ? 1 : 1.2 }));
    this.ahoge = [
      new Strand([[292, 92], [270, 58], [284, 22], [334, 30], [306, 38], [300, 62], [312, 92]], front),
      new Strand([[304, 92], [312, 70], [330, 58], [352, 66], [334, 70], [322, 80], [320, 94]], front, { sway: 0.6 }),
    ];

    this.back = group([fill("M182 190C170 300 170 420 190 500L410 500C430 420 430 300 418 190Z", "url(#hair-back)"), ...this.backs.map(elementOf)]);
    this.side = group(this.sides.map(elementOf));
    this.shade = group(this.shadows.map(elementOf), { "clip-path": "url(#face-clip)", opacity: 0.75 });
    const cap = fill("M181 306C158 196 196 82 300 80C404 82 442 196 419 306C420 240 372 176 300 172C228 176 180 240 181 306Z", front);
    const dome = line("M181 306C158 196 196 82 300 80C404 82 442 196 419 306", 2.4);
    this.top = group([...this.ahoge.map(elementOf), cap, dome, ...this.fringe.map(elementOf), ...shine()]);

    // Short hair swings faster than long hair.
    this.springs = { fringe: new Spring(1.9, 0.28), sides: new Spring(1.05, 0.22), backs: new Spring(0.8, 0.3), ahoge: new Spring(2.6, 0.16) };
    this.bounce = new Spring(2.1, 0.25);
  }

  /**
   * @param {number} tilt of the head, degrees
   * @param {number} yaw -1..1
   * @param {number} lift of the head, units
   * @param {number} time s
   * @param {number} wind 0..1
   * @param {number} seconds since the last frame
   */
  move(tilt, yaw, lift, time, wind, seconds) {
    // Hair hangs where gravity says, and the head turns away under it.
    const hang = tilt * 2.6 + yaw * -9;
    const air = (phase) => wind * (Math.sin(time * 0.9 + phase) * 3.2 + Math.sin(time * 1.7 + phase * 2) * 1.4);
    const up = this.bounce.follow(lift, seconds) - lift;
    const { fringe, sides, backs, ahoge } = this.springs;
    const near = fringe.follow(hang * 0.28, seconds);
    const long = sides.follow(hang, seconds);
    const far = backs.follow(hang * 0.9, seconds);
    const wild = ahoge.follow(-hang * 0.5, seconds);
    this.fringe.forEach((strand, i) => strand.bend(near + air(i * 0.7) * 0.45, up * 0.35));
    this.shadows.forEach((strand, i) => strand.bend(near + air(i * 0.7) * 0.45, up * 0.35));
    this.sides.forEach((strand, i) => strand.bend(long + air(i * 1.1 + 1) * 1.5, up * 0.9));
    this.backs.forEach((strand, i) => strand.bend(far + air(i * 0.8 + 2) * 1.6, up));
    this.ahoge.forEach((strand, i) => strand.bend(wild + air(i + 3) * 0.8, up * -1.2));
  }
}

/** @param {Strand} strand */
const elementOf = (strand) => strand.element;

/** Light from above left: a broken ring over the fringe. */
function shine() {
  const ring = "M214 190C228 158 256 142 286 138L282 152L272 146L262 166L252 156L240 182L232 172ZM304 137C342 140 372 156 388 188L374 174L366 186L352 160L342 172L328 152L316 158Z";
  return [
    fill(ring, "#e9e2ff", { opacity: 0.5 }),
    draw("ellipse", { cx: 262, cy: 112, rx: 30, ry: 8, fill: "#fff", opacity: 0.22, transform: "rotate(-24 262 112)" }),
  ];
}
