// @ts-check
/** Shoulders, jacket, collar and bow. */

import { draw, fill, gradient, group, INK, line, SKIN_SHADE } from "./paint.js";

export const OUTFIT_PAINTS = [
  gradient("jacket", [0, 440, 0, 700], [[0, "#43387e"], [1, "#2e2660"]]),
  gradient("collar", [0, 430, 0, 570], [[0, "#ffffff"], [1, "#e6e0f6"]]),
  gradient("bow", [0, 500, 0, 620], [[0, "#ff9aa8"], [1, "#ee6a84"]]),
];

export class Outfit {
  constructor() {
    const jacket = "M240 446C204 466 152 474 128 506C104 540 92 620 84 720L516 720C508 620 496 540 472 506C448 474 396 466 360 446C346 470 254 470 240 446Z";
    this.element = group([
      fill(jacket, "url(#jacket)", { stroke: INK, "stroke-width": 2.4 }),
      line("M152 566C160 610 160 660 154 720M448 566C440 610 440 660 446 720", 2, "#1d1745", { opacity: 0.7 }),
      line("M104 600C116 606 134 608 152 604M496 600C484 606 466 608 448 604", 4, "#ff9aa8", { opacity: 0.9 }),
      fill("M252 444L300 548L348 444C336 462 264 462 252 444Z", "#ffe6db"),
      fill("M256 444C268 470 332 470 344 444L338 462C320 480 280 480 262 462Z", SKIN_SHADE, { opacity: 0.6 }),
      fill("M264 492C284 500 316 500 336 492L300 560Z", "#f4f0ff", { stroke: INK, "stroke-width": 1.6 }),
      ...collar(),
      ...bow(),
      line("M300 600L300 720", 2, "#1d1745", { opacity: 0.6 }),
    ]);
  }
}

function collar() {
  const left = "M246 436C222 452 188 464 164 486C180 520 206 548 232 566C262 548 286 530 300 512C278 494 258 466 246 436Z";
  const stripe = "M178 490C192 518 212 538 234 553C258 538 276 524 288 511";
  return [1, -1].map((side) =>
    group(
      [
        fill(left, "url(#collar)", { stroke: INK, "stroke-width": 2.2, "stroke-linejoin": "round" }),
        line(stripe, 3.4, "#8f7cec"),
      ],
      side > 0 ? {} : { transform: "translate(600 0) scale(-1 1)" },
    ),
  );
}

function bow() {
  const loop = "M298 520C276 494 236 494 226 512C220 530 226 552 236 560C262 560 288 546 298 532Z";
  const tail = "M296 530C284 556 268 586 250 606L274 600L284 618C294 590 300 560 302 532Z";
  const half = () => [
    fill(tail, "url(#bow)", { stroke: INK, "stroke-width": 2.2, "stroke-linejoin": "round" }),
    fill(loop, "url(#bow)", { stroke: INK, "stroke-width": 2.2, "stroke-linejoin": "round" }),
    line("M292 522C274 518 256 520 246 526M292 530C276 536 260 542 250 546", 1.8, "#c24663", { opacity: 0.8 }),
  ];
  return [
    group(half()),
    group(half(), { transform: "translate(600 0) scale(-1 1)" }),
    draw("rect", { x: 286, y: 510, width: 28, height: 30, rx: 10, fill: "#ff8a9b", stroke: INK, "stroke-width": 2.2 }),
    draw("circle", { cx: 300, cy: 525, r: 6, fill: "#ffd76e", stroke: INK, "stroke-width": 1.6 }),
  ];
}
