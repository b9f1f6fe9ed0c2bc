// @ts-check
/** The hair, from back to front: the back, the long locks beside the face, the fringe, and the ahoge (the lock that stands up). */

import { fill, gradient, group, line } from "./paint.js";
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
  [[288, 130], [294, 180], [298, 216], [308, 250], [316, 216], [322, 180], [326, 130]],
  [[186, 214], [178, 244], [184, 274], [200, 300], [212, 264], [230, 212], [276, 96]],
  [[324, 96], [372, 190], [390, 250], [398, 302], [418, 272], [424, 240], [414, 206]],
  [[214, 150], [210, 204], [220, 244], [238, 272], [246, 236], [262, 180], [300, 88]],
  [[304, 88], [346, 176], [360, 226], [366, 274], [390, 246], [402, 206], [388, 152]],
  [[306, 88], [312, 170], [316, 224], [324, 268], [342, 238], [362, 190], [334, 90]],
  [[268, 90], [238, 176], [252, 236], [284, 274], [294, 240], [312, 180], [304, 88]],
];

/** @type {Point[][]} */
const SIDE = [
  [[180, 232], [140, 300], [158, 400], [130, 520], [184, 482], [208, 380], [200, 270]],
  [[188, 226], [178, 300], [178, 376], [204, 440], [215, 388], [207, 330], [208, 240]],
];

/** @type {Point[][]} */
const BACK = [
  [[200, 150], [84, 220], [142, 400], [74, 500], [140, 512], [186, 470], [236, 380]],
  [[200, 200], [116, 300], [160, 430], [120, 550], [176, 548], [226, 500], [250, 380]],
  [[210, 260], [150, 360], [200, 470], [156, 610], [220, 570], [258, 500], [264, 380]],
];

export class Hair {
  constructor() {
    const front = "url(#hair-front)";
    this.fringe = FRINGE.map((points, i) => new Strand(points, front, { sway: 0.8 + (i % 3) * 0.15 }));
    this.shadows = FRINGE.map((points) => new Strand(points.map(([x, y]) => [x + 1, y + 11]), "#f9d1c5", { width: 0 }));
    this.sides = [...SIDE, ...SIDE.map(Strand.mirrored)].map((points, i) => new Strand(points, "url(#hair-side)", { sway: i % 2 ? 0.8 : 1.15 }));
    this.backs = [...BACK, ...BACK.map(Strand.mirrored)].map((points, i) => new Strand(points, "url(#hair-back)", { sway: 1.2 - (i % 3) * 0.15 }));
    this.ahoge = [
      new Strand([[292, 92], [270, 58], [284, 22], [334, 30], [306, 38], [300, 62], [312, 92]], front),
      new Strand([[304, 92], [312, 70], [330, 58], [352, 66], [334, 70], [322, 80], [320, 94]], front, { sway: 0.6 }),
    ];

    this.back = group([fill("M182 190C170 300 170 420 190 500L410 500C430 420 430 300 418 190Z", "url(#hair-back)"), ...this.backs.map(elementOf)]);
    this.side = group(this.sides.map(elementOf));
    this.shade = group(this.shadows.map(elementOf), { "clip-path": "url(#face-clip)" });
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
    // Hair hangs vertically while the head tilts below it, so it bends against the tilt.
    const hang = tilt * 2.6 + yaw * -9;
    const air = (/** @type {number} */ phase) => wind * (Math.sin(time * 0.9 + phase) * 3.2 + Math.sin(time * 1.7 + phase * 2) * 1.4);
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

/** Highlights on the fringe, from a light above left. */
function shine() {
  const light = (/** @type {string} */ d, /** @type {number} */ width, /** @type {number} */ opacity) => line(d, width, "#f3eeff", { opacity });
  return [
    light("M213 178C224 158 240 146 258 139", 8, 0.4),
    light("M272 134C282 131 292 130 300 130", 8, 0.4),
    light("M206 200C208 195 210 191 212 188", 6, 0.4),
    light("M322 131C344 134 362 144 374 158", 7, 0.34),
    light("M384 172C388 178 390 184 392 190", 6, 0.34),
    light("M232 194C238 182 246 173 256 167", 4, 0.3),
    light("M330 156C342 160 350 166 357 174", 4, 0.26),
  ];
}
