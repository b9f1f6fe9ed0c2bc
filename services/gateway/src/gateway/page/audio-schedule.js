// @ts-check
/**
 * Places the chunks of one turn on the AudioContext timeline. Pure. All times are whole frames, so
 * that adjacent chunks join without a gap or an overlap.
 *
 * The session's clock gives each chunk its target frame. If a chunk arrives too late for its target,
 * the schedule of this turn shifts by the delay: no audio is dropped, nothing overlaps, and other
 * windows do not wait. To catch up, silent chunks are trimmed until the shift is zero again.
 */

/** Wire offsets are whole ms, audio lengths need not be: a chunk this near to the tail is joined to it. 2 ms at 24 kHz. */
const JOIN_FRAMES = 48;
/** A silent chunk is trimmed only with this much lead, or the next late chunk would undo the gain. 0.2 s at 24 kHz. */
const MIN_LEAD_FRAMES = 4_800;

/**
 * @typedef {object} Placement
 * @property {number} frame at which the chunk's first frame sounds
 * @property {number} frames how many frames of the chunk are played; fewer than all if it is trimmed
 * @property {number} late frames by which this chunk shifted the schedule; 0 if it was in time
 * @property {boolean} underrun the shift is audible, as silence in the middle of the turn
 */

export class AudioSchedule {
  constructor() {
    /** Frame at which offset 0 sounds by the session's clock; NaN until known. */
    this.base = Number.NaN;
    /** Frames by which this window lags behind the session's clock. */
    this.shift = 0;
    /** Frame after the last placed one. */
    this.tail = -Infinity;
    /** Offset, in frames of audio, after the last placed chunk: a chunk that ends before it is a duplicate. */
    this.placedEnd = -1;
  }

  get anchored() {
    return !Number.isNaN(this.base);
  }

  /**
   * The start of the turn is known, or has moved. A new base resets the shift; the tail may cause a
   * new one with the next chunk.
   * @param {number} base frame
   */
  anchor(base) {
    if (base === this.base) return;
    this.base = base;
    this.shift = 0;
  }

  /**
   * @param {number} offset frames of audio since the start of the turn
   * @param {number} length frames
   * @param {number} earliest first frame that the device can still play and no earlier turn occupies
   * @param {boolean} silent the chunk is a pause, so it may be trimmed
   * @returns {Placement | null} null for a duplicate (after a reconnect), or a chunk that is trimmed as a whole
   */
  place(offset, length, earliest, silent) {
    if (length === 0 || offset + length <= this.placedEnd) return null;
    const target = Math.round(this.base + this.shift + offset);
    let frame = Math.abs(target - this.tail) <= JOIN_FRAMES ? this.tail : Math.max(target, this.tail);
    const first = this.tail === -Infinity;
    let late = 0;
    if (frame < earliest) {
      late = Math.ceil(earliest) - frame;
      frame += late;
    }
    // The shift is measured from the unshifted target, so that rounding in joins does not add up.
    if (frame - target > JOIN_FRAMES) this.shift = frame - Math.round(this.base + offset);
    this.placedEnd = offset + length;
    const trimmed = silent && !first && frame - earliest > MIN_LEAD_FRAMES ? Math.min(length, Math.max(0, this.shift)) : 0;
    this.shift -= trimmed;
    const frames = length - trimmed;
    this.tail = frame + frames;
    return frames === 0 ? null : { frame, frames, late, underrun: late > 0 && !first };
  }

  /** Moves the whole timeline, after the device was suspended or the turn paused. @param {number} frames */
  move(frames) {
    this.base += frames;
    this.tail += frames;
  }
}
