// @ts-check
/**
 * The audio of one turn: its scheduled segments, the playback position, and how to pause or stop it.
 *
 * Each chunk becomes a segment with its own AudioBufferSourceNode, started at the frame that the
 * schedule gives. All nodes of the turn pass through one gain node, which fades them out on a pause
 * or a flush. The position is computed from the frame that is audible now, not from node events, so
 * it also advances while the device is suspended and no node was started.
 */

import { AudioSchedule } from "./audio-schedule.js";

/** Stopping at an arbitrary sample clicks. A fade this short does not, and is not perceived as a delay. */
const FADE_OUT_S = 0.008;

/**
 * @typedef {import("./chunk.js").Chunk} Chunk
 * @typedef {{chunk: Chunk, frame: number, frames: number, durationMs: number, node: AudioBufferSourceNode | null}} Segment
 * @typedef {{segment: Segment, next: Segment | null, sounding: boolean, elapsedMs: number, offsetMs: number}} PlaybackPosition
 *   `elapsedMs`: since the start of the segment; `offsetMs`: since the start of the turn's audio
 */

export class TurnAudio {
  /** @param {number} turn @param {AudioContext} context @param {AudioNode} output */
  constructor(turn, context, output) {
    this.turn = turn;
    this.context = context;
    this.gain = new GainNode(context);
    this.gain.connect(output);
    this.schedule = new AudioSchedule();
    /** @type {Segment[]} in playback order */
    this.segments = [];
    this.cursor = 0;
    /** The schedule is anchored to the session's clock, not just to the arrival of the first chunk. */
    this.synchronized = false;
    this.flushed = false;
    /** Frame of the pause or flush; the position does not advance beyond it. */
    this.frozenAt = Infinity;
    this.paused = false;
    /** Frames that were given to the device and have sounded. */
    this.playedFrames = 0;
    /** Audio offset of the last report, ms; -1 before the first. */
    this.reportedMs = -1;
  }

  /**
   * @param {Chunk} chunk
   * @param {number} frame
   * @param {number} frames
   * @param {boolean} audible the device is running
   */
  add(chunk, frame, frames, audible) {
    /** @type {Segment} */
    const segment = { chunk, frame, frames, durationMs: (chunk.samples.length / chunk.sampleRate) * 1000, node: null };
    this.segments.push(segment);
    if (audible && !this.paused) this.#startNode(segment, -Infinity);
  }

  /** Freezes the position; later segments keep their places behind it. @param {number} now frame that is audible now */
  pause(now) {
    if (this.paused || this.flushed) return;
    this.paused = true;
    this.frozenAt = now;
    this.#stopNodes(FADE_OUT_S);
  }

  /**
   * After a pause, or after the device was suspended: restarts what is still ahead and drops the rest.
   * @param {number} moved frames
   */
  resume(moved) {
    this.#stopNodes(0);
    if (this.paused) {
      this.paused = false;
      this.frozenAt = Infinity;
      this.gain.gain.cancelScheduledValues(0);
      this.gain.gain.setValueAtTime(1, this.context.currentTime);
    }
    this.schedule.move(moved);
    const earliest = Math.ceil(this.context.currentTime * this.context.sampleRate);
    for (const segment of this.segments) {
      segment.frame += moved;
      if (!this.flushed && segment.frame + segment.frames > earliest) this.#startNode(segment, earliest);
    }
  }

  /**
   * The playback position at a frame; null before the first chunk.
   * @param {number} frame
   * @returns {PlaybackPosition | null}
   */
  positionAt(frame) {
    const { segments } = this;
    const now = Math.min(frame, this.frozenAt);
    // Segments are only appended, so the cursor moves forward, except after the timeline moved.
    if (this.cursor >= segments.length || segments[this.cursor].frame > now) this.cursor = 0;
    while (this.cursor + 1 < segments.length && segments[this.cursor + 1].frame <= now) this.#markPlayed(segments[this.cursor++]);
    const segment = segments[this.cursor];
    if (!segment || segment.frame > now) return null;
    const elapsedFrames = Math.min(now - segment.frame, segment.frames);
    const sounding = !this.flushed && !this.paused && now < segment.frame + segment.frames;
    if (!sounding && !this.flushed && !this.paused) this.#markPlayed(segment);
    const elapsedMs = (elapsedFrames / segment.frames) * segment.durationMs;
    return { segment, next: this.flushed ? null : (segments[this.cursor + 1] ?? null), sounding, elapsedMs, offsetMs: segment.chunk.offsetMs + elapsedMs };
  }

  /** All chunks received so far have been played, or the turn was flushed. @param {number} now frame */
  isOver(now) {
    return this.flushed || (!this.paused && now >= this.schedule.tail);
  }

  /**
   * Stops the turn for good.
   * @param {number} now frame that is audible now
   * @returns {number} context time from which it is silent, s
   */
  flush(now) {
    this.flushed = true;
    this.frozenAt = Math.min(now, this.frozenAt);
    this.paused = false;
    return this.#stopNodes(FADE_OUT_S);
  }

  /** @param {Segment} segment @param {number} earliest frame; the part of the segment before it is skipped */
  #startNode(segment, earliest) {
    const { chunk } = segment;
    const buffer = new AudioBuffer({ length: chunk.samples.length, sampleRate: chunk.sampleRate, numberOfChannels: 1 });
    buffer.copyToChannel(/** @type {Float32Array<ArrayBuffer>} */ (chunk.samples), 0);
    segment.node = new AudioBufferSourceNode(this.context, { buffer });
    segment.node.connect(this.gain);
    const rate = this.context.sampleRate;
    const late = Math.max(0, earliest - segment.frame);
    segment.node.start((segment.frame + late) / rate, late / rate, (segment.frames - late) / rate);
  }

  /** @param {number} fadeS 0: stop without a fade @returns {number} context time from which the turn is silent, s */
  #stopNodes(fadeS) {
    const now = this.context.currentTime;
    if (fadeS) {
      this.gain.gain.setValueAtTime(this.gain.gain.value, now);
      this.gain.gain.linearRampToValueAtTime(0, now + fadeS);
    }
    for (const segment of this.segments) {
      segment.node?.stop(now + fadeS);
      segment.node = null;
    }
    return now + fadeS;
  }

  /** @param {Segment} segment */
  #markPlayed(segment) {
    if (!segment.node) return;
    this.playedFrames += segment.frames;
    segment.node = null;
  }
}
