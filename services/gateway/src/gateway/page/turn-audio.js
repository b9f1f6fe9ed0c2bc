// @ts-check
/** The audio of one turn: what was placed, what sounds now, and how to silence it. */

import { Schedule } from "./audio-schedule.js";

/** A cut at a random sample clicks; a ramp this short does not, and still counts as at once. */
const RAMP_S = 0.008;

/**
 * @typedef {import("./chunk.js").Chunk} Chunk
 * @typedef {{chunk: Chunk, frame: number, frames: number, durationMs: number, node: AudioBufferSourceNode | null}} Segment
 * @typedef {{segment: Segment, next: Segment | null, sounding: boolean, within: number, offsetMs: number}} Position
 *   `within`: ms since the segment's start; `offsetMs`: audio time of the turn at the ear
 */

export class Voice {
  /** @param {number} turn @param {AudioContext} context @param {AudioNode} output */
  constructor(turn, context, output) {
    this.turn = turn;
    this.context = context;
    this.gain = new GainNode(context);
    this.gain.connect(output);
    this.schedule = new Schedule();
    /** @type {Segment[]} in order of time */
    this.segments = [];
    this.cursor = 0;
    /** Anchored to the session's clock, and not only to the moment at which its first chunk came. */
    this.inStep = false;
    this.flushed = false;
    /** Frame at which it was silenced, or paused: its position stands there from then on. */
    this.cut = Infinity;
    this.held = false;
    /** Frames that really went to the device and have sounded. */
    this.played = 0;
    /** ms of audio time that was last reported; -1 before. */
    this.reported = -1;
  }

  /** @param {Chunk} chunk @param {number} frame @param {number} frames @param {boolean} aloud the device is awake to sound it */
  add(chunk, frame, frames, aloud) {
    /** @type {Segment} */
    const segment = { chunk, frame, frames, durationMs: (chunk.samples.length / chunk.sampleRate) * 1000, node: null };
    this.segments.push(segment);
    if (aloud && !this.held) this.#sound(segment, -Infinity);
  }

  /** Stand still at this frame: what is to come keeps its place behind it. @param {number} now frame at the ear */
  pause(now) {
    if (this.held || this.flushed) return;
    this.held = true;
    this.cut = now;
    this.#silence(RAMP_S);
  }

  /** After the device woke, or a pause: whatever lies ahead is given to it again, what lies behind is gone. @param {number} moved frames */
  resume(moved) {
    this.#silence(0);
    if (this.held) {
      this.held = false;
      this.cut = Infinity;
      this.gain.gain.cancelScheduledValues(0);
      this.gain.gain.setValueAtTime(1, this.context.currentTime);
    }
    this.schedule.move(moved);
    const earliest = Math.ceil(this.context.currentTime * this.context.sampleRate);
    for (const segment of this.segments) {
      segment.frame += moved;
      if (!this.flushed && segment.frame + segment.frames > earliest) this.#sound(segment, earliest);
    }
  }

  /** What the ear hears at this frame; null before the first chunk. @param {number} time @returns {Position | null} */
  at(time) {
    const { segments } = this;
    const now = Math.min(time, this.cut);
    // Chunks are only ever appended, so the cursor goes one way, except when the timeline moved.
    if (this.cursor >= segments.length || segments[this.cursor].frame > now) this.cursor = 0;
    while (this.cursor + 1 < segments.length && segments[this.cursor + 1].frame <= now) this.#pass(segments[this.cursor++]);
    const segment = segments[this.cursor];
    if (!segment || segment.frame > now) return null;
    const into = Math.min(now - segment.frame, segment.frames);
    const sounding = !this.flushed && !this.held && now < segment.frame + segment.frames;
    if (!sounding && !this.flushed && !this.held) this.#pass(segment);
    const within = (into / segment.frames) * segment.durationMs;
    return { segment, next: this.flushed ? null : (segments[this.cursor + 1] ?? null), sounding, within, offsetMs: segment.chunk.offsetMs + within };
  }

  /** The turn has been heard to its end, as far as its chunks have come. @param {number} now frame */
  over(now) {
    return this.flushed || (!this.held && now >= this.schedule.tail);
  }

  /** Silence within RAMP_S. @param {number} now frame at the ear @returns {number} context time of the silence, in seconds */
  flush(now) {
    this.flushed = true;
    this.cut = Math.min(now, this.cut);
    this.held = false;
    return this.#silence(RAMP_S);
  }

  /** @param {Segment} segment @param {number} earliest frame: what lies before it is left out */
  #sound(segment, earliest) {
    const { chunk } = segment;
    const buffer = new AudioBuffer({ length: chunk.samples.length, sampleRate: chunk.sampleRate, numberOfChannels: 1 });
    buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (chunk.samples), 0);
    segment.node = new AudioBufferSourceNode(this.context, { buffer });
    segment.node.connect(this.gain);
    const rate = this.context.sampleRate;
    const late = Math.max(0, earliest - segment.frame);
    segment.node.start((segment.frame + late) / rate, late / rate, (segment.frames - late) / rate);
  }

  /** @param {number} ramp s */
  #silence(ramp) {
    const now = this.context.currentTime;
    if (ramp) {
      this.gain.gain.setValueAtTime(this.gain.gain.value, now);
      this.gain.gain.linearRampToValueAtTime(0, now + ramp);
    }
    for (const segment of this.segments) {
      segment.node?.stop(now + ramp);
      segment.node = null;
    }
    return now + ramp;
  }

  /** @param {Segment} segment */
  #pass(segment) {
    if (!segment.node) return;
    this.played += segment.frames;
    segment.node = null;
  }
}
