// @ts-check
/** Parses the binary form of a chunk: a header of 52 bytes, little-endian, then s16le samples. Pure. */

/** Order of the fifteen weights in the header. */
export const VISEMES = Object.freeze(["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"]);

const HEADER_BYTES = 52;
const VERSION = 1;
const PCM = 0;

/**
 * @typedef {object} Chunk
 * @property {number} turn
 * @property {number} seq counts from 0 in each turn
 * @property {number} offsetMs audio time since the start of the turn
 * @property {number} sampleRate Hz
 * @property {number} textStart index in the reply, in code points, at which this chunk's words begin
 * @property {number} textEnd
 * @property {Float32Array} viseme fifteen weights, 0..1, in the order of VISEMES, for the start of the chunk
 * @property {Float32Array} samples -1..1
 * @property {number} loudness RMS of the samples, 0..1
 */

/**
 * @param {ArrayBuffer} frame
 * @returns {Chunk | null} null for an unknown version or codec; such frames are skipped
 */
export function parseChunk(frame) {
  if (frame.byteLength < HEADER_BYTES) return null;
  const view = new DataView(frame);
  if (view.getUint8(0) !== 0x56 || view.getUint8(1) !== 0x43) return null;
  if (view.getUint8(2) !== VERSION || view.getUint8(3) !== PCM) return null;
  const viseme = new Float32Array(VISEMES.length);
  for (let i = 0; i < viseme.length; i++) viseme[i] = view.getUint8(36 + i) / 255;
  const { samples, loudness } = decode(view);
  return {
    turn: view.getUint32(4, true),
    seq: view.getUint32(8, true),
    offsetMs: view.getUint32(12, true),
    sampleRate: view.getUint16(18, true) * 100,
    textStart: view.getUint32(20, true),
    textEnd: view.getUint32(24, true),
    viseme,
    samples,
    loudness,
  };
}

/** @param {DataView} view */
function decode(view) {
  const count = (view.byteLength - HEADER_BYTES) >> 1;
  const samples = new Float32Array(count);
  let power = 0;
  for (let i = 0; i < count; i++) {
    // DataView rather than Int16Array: the wire is little-endian on every machine.
    const value = view.getInt16(HEADER_BYTES + i * 2, true) / 32768;
    samples[i] = value;
    power += value * value;
  }
  return { samples, loudness: count ? Math.sqrt(power / count) : 0 };
}
