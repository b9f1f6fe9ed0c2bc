// @ts-check
/**
 * Lip sync: computes the shape of the mouth from viseme weights at the playback position. Pure.
 *
 * A chunk carries the weights for its start; between two contiguous chunks the shapes are
 * interpolated. The result is then smoothed over time, so that the mouth never jumps.
 */

import { VISEMES } from "./chunk.js";

/**
 * @typedef {object} MouthShape all 0..1
 * @property {number} open how far the jaw is down
 * @property {number} wide corners drawn apart
 * @property {number} round corners drawn together, lips forward
 * @property {number} teeth how much the upper teeth show
 * @property {number} tongue how high the tongue is
 * @property {number} press lips pressed together
 */

/** @type {Readonly<Record<string, Partial<MouthShape>>>} */
const SHAPES = Object.freeze({
  sil: {},
  PP: { press: 1, round: 0.15 },
  FF: { open: 0.13, wide: 0.15, teeth: 1 },
  TH: { open: 0.22, wide: 0.2, teeth: 0.5, tongue: 1 },
  DD: { open: 0.28, wide: 0.2, teeth: 0.5, tongue: 0.6 },
  kk: { open: 0.34, wide: 0.1, tongue: 0.2 },
  CH: { open: 0.24, round: 0.55, teeth: 0.7 },
  SS: { open: 0.16, wide: 0.55, teeth: 1 },
  nn: { open: 0.22, wide: 0.1, teeth: 0.3, tongue: 0.7 },
  RR: { open: 0.28, round: 0.5, tongue: 0.3 },
  aa: { open: 1, wide: 0.2, tongue: 0.25 },
  E: { open: 0.6, wide: 0.6, teeth: 0.35, tongue: 0.3 },
  ih: { open: 0.4, wide: 0.8, teeth: 0.5, tongue: 0.4 },
  oh: { open: 0.72, round: 0.75, tongue: 0.1 },
  ou: { open: 0.36, round: 1 },
});

const VISEME_SHAPES = VISEMES.map((name) => ({ open: 0, wide: 0, round: 0, teeth: 0, tongue: 0, press: 0, ...SHAPES[name] }));

/** @returns {MouthShape} */
export const closedMouth = () => ({ open: 0, wide: 0, round: 0, teeth: 0, tongue: 0, press: 0 });

/** The mouth closes within this time at the end of the last chunk. */
const CLOSING_MS = 90;
/** RMS at which audio without visemes opens the mouth fully. */
const FULL_OPEN_RMS = 0.22;

/**
 * @param {import("./chunk.js").Chunk} chunk
 * @returns {MouthShape}
 */
export function chunkMouthShape(chunk) {
  const shape = closedMouth();
  let sum = 0;
  for (let i = 0; i < VISEME_SHAPES.length; i++) {
    const weight = chunk.viseme[i];
    if (!weight) continue;
    sum += weight;
    mix(shape, VISEME_SHAPES[i], weight);
  }
  // Without visemes (not every TTS provider has them) loudness alone opens the mouth.
  if (sum === 0) mix(shape, VISEME_SHAPES[10], Math.min(1, chunk.loudness / FULL_OPEN_RMS));
  // A sum above 1 is a blend of the shapes, not a larger shape.
  else if (sum > 1) scale(shape, 1 / sum);
  return shape;
}

/**
 * The mouth at a playback position.
 * @param {import("./turn-audio.js").PlaybackPosition | null} position
 * @returns {MouthShape}
 */
export function mouthShapeAt(position) {
  if (!position || (!position.sounding && !position.next)) return closedMouth();
  const { segment, next, elapsedMs } = position;
  const from = chunkMouthShape(segment.chunk);
  // In a pause before the next chunk the mouth is closed; it does not morph across the pause.
  const contiguous = next && next.frame - (segment.frame + segment.frames) < segment.frames;
  if (!position.sounding) return closedMouth();
  if (contiguous) return interpolate(from, chunkMouthShape(next.chunk), ease(elapsedMs / segment.durationMs));
  const left = segment.durationMs - elapsedMs;
  return interpolate(from, closedMouth(), ease(1 - Math.min(1, left / CLOSING_MS)));
}

/**
 * Moves `shape` towards `target` with a time constant.
 * @param {MouthShape} shape
 * @param {MouthShape} target
 * @param {number} elapsedMs since the last frame
 */
export function smoothMouthShape(shape, target, elapsedMs) {
  // Lips open faster than they close.
  const rate = 1 - Math.exp(-elapsedMs / (target.open > shape.open ? 16 : 26));
  return interpolate(shape, target, rate);
}

/** @param {MouthShape} a @param {MouthShape} b @param {number} t @returns {MouthShape} */
function interpolate(a, b, t) {
  const shape = closedMouth();
  for (const key of /** @type {(keyof MouthShape)[]} */ (Object.keys(shape))) shape[key] = a[key] + (b[key] - a[key]) * t;
  return shape;
}

/** @param {MouthShape} shape @param {MouthShape} other @param {number} weight */
function mix(shape, other, weight) {
  for (const key of /** @type {(keyof MouthShape)[]} */ (Object.keys(shape))) shape[key] += other[key] * weight;
}

/** @param {MouthShape} shape @param {number} factor */
function scale(shape, factor) {
  for (const key of /** @type {(keyof MouthShape)[]} */ (Object.keys(shape))) shape[key] *= factor;
}

/** @param {number} t */
const ease = (t) => t * t * (3 - 2 * t);
