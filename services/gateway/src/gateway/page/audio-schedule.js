// @ts-check
/**
 * Where the chunks of one turn go on the audio timeline. Pure, in whole frames, so that neighbours join on the sample.
 *
 * The session's clock says where a chunk belongs. When it comes too late for that, this turn's schedule moves by the lateness:
 * no word is dropped, nothing overlaps, and the other windows are not waited for. Pauses of the voice are then cut short until this
 * window is in step again.
 */

/** Offsets on the wire are whole ms and audio need not be: a neighbour this near is a neighbour, and is joined exactly. */
const JOIN_FRAMES = 48;
/** A pause is cut only with this much in hand: who is late again right after it has gained nothing. 0.2 s at 24 kHz. */
const IN_HAND_FRAMES = 4_800;

/**
 * @typedef {object} Placement
 * @property {number} frame where the chunk's first frame sounds
 * @property {number} frames how much of the chunk is to sound; less than all where a pause is cut
 * @property {number} late frames by which the schedule had to move for it; 0 in good times
 * @property {boolean} gap whether that was heard, as silence in the middle of the turn
 */

export class Schedule {
  constructor() {
    /** Frame at which offset 0 sounds by the session's clock; NaN until known. */
    this.base = Number.NaN;
    /** Frames that this window lags behind the session's clock. */
    this.shift = 0;
    /** Frame after the last one placed. */
    this.tail = -Infinity;
    /** Offset, in frames of audio, after the last chunk placed: what ends before it is a repetition. */
    this.reached = -1;
  }

  get anchored() {
    return !Number.isNaN(this.base);
  }

  /**
   * The turn's clock is known, or has moved. A new anchor brings this window back in step, as far as its own tail lets it.
   * @param {number} base
   */
  anchor(base) {
    if (base === this.base) return;
    this.base = base;
    this.shift = 0;
  }

  /**
   * @param {number} offset frames of audio within the turn
   * @param {number} length frames
   * @param {number} earliest first frame that can still be given to the device, or that is free of another turn's voice
   * @param {boolean} quiet nothing is to be heard in it
   * @returns {Placement | null} null for a chunk that was placed before (after a reconnect), or is cut as a whole
   */
  place(offset, length, earliest, quiet) {
    if (length === 0 || offset + length <= this.reached) return null;
    const wanted = Math.round(this.base + this.shift + offset);
    let frame = Math.abs(wanted - this.tail) <= JOIN_FRAMES ? this.tail : Math.max(wanted, this.tail);
    const first = this.tail === -Infinity;
    let late = 0;
    if (frame < earliest) {
      late = Math.ceil(earliest) - frame;
      frame += late;
    }
    // The shift is measured from where the session's clock wants it, so rounding in joins does not add up.
    if (frame - wanted > JOIN_FRAMES) this.shift = frame - Math.round(this.base + offset);
    this.reached = offset + length;
    const cut = quiet && !first && frame - earliest > IN_HAND_FRAMES ? Math.min(length, Math.max(0, this.shift)) : 0;
    this.shift -= cut;
    const frames = length - cut;
    this.tail = frame + frames;
    return frames === 0 ? null : { frame, frames, late, gap: late > 0 && !first };
  }

  /** The timeline itself moved (the device was asleep). @param {number} frames */
  move(frames) {
    this.base += frames;
    this.tail += frames;
  }
}
