// @ts-check
/**
 * From viseme weights to the shape of a mouth, in time with the voice. Pure.
 *
 * A chunk says what the mouth is like at its start; in between, shapes run into one another.
 */

import { VISEMES } from "./chunk.js";

/**
 * @typedef {object} Shape all 0..1
 * @property {number} open how far the jaw is down
 * @property {number} wide corners drawn apart
 * @property {number} round corners drawn together, lips forward
 * @property {number} teeth how much the upper teeth show
 * @property {number} tongue how high the tongue is
 * @property {number} press lips pressed together
 */

/** @type {Readonly<Record<string, Partial<Shape>>>} */
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

const TABLE = VISEMES.map((name) => ({ open: 0, wide: 0, round: 0, teeth: 0, tongue: 0, press: 0, ...SHAPES[name] }));

/** @returns {Shape} */
export const closed = () => ({ open: 0, wide: 0, round: 0, teeth: 0, tongue: 0, press: 0 });

/** After the last chunk of all, the mouth closes in this time. */
const CLOSING_MS = 90;
/** Loudness at which a voice without visemes opens the mouth fully. */
const LOUD = 0.22;

/**
 * @param {import("./chunk.js").Chunk} chunk
 * @returns {Shape}
 */
export function shapeOf(chunk) {
  const shape = closed();
  let sum = 0;
  for (let i = 0; i < TABLE.length; i++) {
    const weight = chunk.viseme[i];
    if (!weight) continue;
    sum += weight;
    mix(shape, TABLE[i], weight);
  }
  // A voice that knows no visemes still moves the lips, by loudness alone.
  if (sum === 0) mix(shape, TABLE[10], Math.min(1, chunk.loudness / LOUD));
  // Weights over one in sum mean a shape between them, not a larger one.
  else if (sum > 1) scale(shape, 1 / sum);
  return shape;
}

/**
 * The mouth at a position of the playback.
 * @param {import("./turn-audio.js").Position | null} position
 * @returns {Shape}
 */
export function shapeAt(position) {
  if (!position || (!position.sounding && !position.next)) return closed();
  const { segment, next, within } = position;
  const from = shapeOf(segment.chunk);
  // A pause before the next chunk is a closed mouth, not a slow morph over it.
  const touching = next && next.frame - (segment.frame + segment.frames) < segment.frames;
  if (!position.sounding) return closed();
  if (touching) return between(from, shapeOf(next.chunk), ease(within / segment.durationMs));
  const left = segment.durationMs - within;
  return between(from, closed(), ease(1 - Math.min(1, left / CLOSING_MS)));
}

/** Follows `target` with a time constant, so that no shape jumps whatever the chunks say. @param {Shape} shape @param {Shape} target @param {number} dtMs */
export function follow(shape, target, dtMs) {
  // Lips open faster than they close.
  const rate = 1 - Math.exp(-dtMs / (target.open > shape.open ? 16 : 26));
  return between(shape, target, rate);
}

/** @param {Shape} a @param {Shape} b @param {number} t @returns {Shape} */
function between(a, b, t) {
  const shape = closed();
  for (const key of /** @type {(keyof Shape)[]} */ (Object.keys(shape))) shape[key] = a[key] + (b[key] - a[key]) * t;
  return shape;
}

/** @param {Shape} shape @param {Shape} other @param {number} weight */
function mix(shape, other, weight) {
  for (const key of /** @type {(keyof Shape)[]} */ (Object.keys(shape))) shape[key] += other[key] * weight;
}

/** @param {Shape} shape @param {number} factor */
function scale(shape, factor) {
  for (const key of /** @type {(keyof Shape)[]} */ (Object.keys(shape))) shape[key] *= factor;
}

/** @param {number} t */
const ease = (t) => t * t * (3 - 2 * t);
