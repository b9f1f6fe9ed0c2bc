// @ts-check
/**
 * The sound of a session: chunks in, voices out, in step with all other windows.
 *
 * Audio offset `o` of a turn is heard at `startedAt + o + HEADROOM_MS` on output-handler's clock. That moment goes through the TIME
 * estimate to `performance.now()`, and through the ear to a frame of the AudioContext.
 */

import { Ear } from "./audio-clock.js";
import { Voice } from "./turn-audio.js";

const SAMPLE_RATE = 24_000;
/** What the network and the sound card may take without being heard. The same in every window, or they would not be in step. */
const HEADROOM_MS = 60;
/** A node that is started nearer to now than this may miss its first quantum. */
const MARGIN_S = 0.008;
/** A page that was opened in the middle of a turn gets chunks before it knows the time; it waits for the time this long. */
const CLOCK_PATIENCE_MS = 500;
const REPORT_MS = 200;
/** RMS under which a chunk is a pause. */
const QUIET = 0.003;

export class Playback {
  /**
   * @param {import("./clock.js").Clock} clock
   * @param {{onPlayed: (turn: number, offsetMs: number) => void, onFirstSound: (turn: number, at: number) => void,
   *          onState: (state: AudioContextState) => void}} handlers `at`: `performance.now()` of the ear
   */
  constructor(clock, handlers) {
    this.clock = clock;
    this.handlers = handlers;
    this.context = openContext();
    this.ear = new Ear(this.context, (moved) => this.#awake(moved));
    this.master = new GainNode(this.context);
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.master.connect(this.analyser).connect(this.context.destination);
    this.window = new Float32Array(this.analyser.fftSize);
    /** @type {Map<number, Voice>} */
    this.voices = new Map();
    /** @type {Map<number, number>} turn → startedAt, ms on output-handler's clock */
    this.starts = new Map();
    /** @type {import("./chunk.js").Chunk[]} */
    this.held = [];
    this.underruns = 0;
    this.samplesBefore = 0;
    this.context.onstatechange = () => {
      this.ear.changed();
      handlers.onState(this.context.state);
    };
    setInterval(() => this.#report(), REPORT_MS);
  }

  get state() {
    return this.context.state;
  }

  /** Browsers keep a page silent until somebody touched it; every gesture calls this. */
  unlock() {
    if (this.context.state !== "running") this.context.resume().catch(() => undefined);
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    // Loudness is felt roughly as the square of amplitude. The ramp keeps the slider from crackling.
    this.master.gain.setTargetAtTime(volume * volume, this.context.currentTime, 0.015);
  }

  /** STATE SPEAKING, again with a later time when the turn's clock moved. @param {number} turn @param {number} startedAt */
  speaking(turn, startedAt) {
    const before = this.starts.get(turn);
    const repeated = before === startedAt;
    this.starts.set(turn, startedAt);
    const voice = this.voices.get(turn);
    if (voice?.held) {
      // After a pause: all of it moves by as much as the session's clock did, so that no join is torn.
      if (before !== undefined) voice.resume(Math.round((startedAt - before) * (this.context.sampleRate / 1000)));
      return;
    }
    // The same time again would come out a few frames elsewhere, the estimates having moved, and tear a join.
    if (voice && this.clock.ready && !(repeated && voice.inStep)) this.#anchor(voice, startedAt);
  }

  /** @param {import("./chunk.js").Chunk} chunk */
  chunk(chunk) {
    if (!this.clock.ready) {
      if (this.held.push(chunk) === 1) setTimeout(() => this.release(), CLOCK_PATIENCE_MS);
      return;
    }
    this.#place(chunk);
  }

  /** The time is known, or is not going to be: chunks that waited for it are placed. */
  release() {
    for (const voice of this.voices.values()) {
      const startedAt = this.starts.get(voice.turn);
      if (!voice.inStep && voice.schedule.anchored && startedAt !== undefined && this.clock.ready) this.#anchor(voice, startedAt);
    }
    for (const chunk of this.held.splice(0)) this.#place(chunk);
  }

  /** Somebody speaks, or coughs: a turn stands still until STATE says when it goes on, or a STOP that it does not. @param {number} turn */
  pause(turn) {
    this.#voice(turn).pause(this.#now());
  }

  /** A turn that was paused before it sounded has nothing to move. @param {number} turn */
  resume(turn) {
    const voice = this.voices.get(turn);
    if (voice?.held && !voice.schedule.anchored) voice.resume(0);
  }

  /**
   * Silence a turn at once and for good.
   * @param {number} turn
   * @returns {number | null} `performance.now()` at which the ear has silence; null when nothing sounded
   */
  flush(turn) {
    this.held = this.held.filter((chunk) => chunk.turn !== turn);
    const now = this.#now();
    // A turn without a voice gets one, silenced: chunks that were on their way behind the STOP must find it.
    const voice = this.#voice(turn);
    if (voice.flushed) return null;
    const position = voice.at(now);
    const sounding = this.ear.awake && !voice.over(now) && position !== null;
    const silence = voice.flush(now);
    if (position && this.ear.awake) this.handlers.onPlayed(turn, Math.round(position.offsetMs));
    return sounding ? this.ear.whenHeard(silence) : null;
  }

  /** What the ear hears now, of the newest turn that has begun to sound. */
  position() {
    const now = this.#now();
    let found = null;
    for (const voice of this.voices.values()) {
      const position = voice.at(now);
      if (position) found = { voice, turn: voice.turn, ...position };
    }
    return found;
  }

  /** Frames that have sounded since the page was opened. */
  get samplesPlayed() {
    let sum = this.samplesBefore;
    for (const voice of this.voices.values()) sum += voice.played;
    return sum;
  }

  /** RMS of the last 43 ms that went to the device, 0..1. */
  get rms() {
    this.analyser.getFloatTimeDomainData(this.window);
    let power = 0;
    for (const sample of this.window) power += sample * sample;
    return Math.sqrt(power / this.window.length);
  }

  /** ms that the given turn lags behind the session's clock in this window. @param {number} turn */
  shiftMs(turn) {
    return ((this.voices.get(turn)?.schedule.shift ?? 0) / this.context.sampleRate) * 1000;
  }

  #now() {
    return this.ear.heardAt(performance.now()) * this.context.sampleRate;
  }

  /** @param {Voice} voice @param {number} startedAt */
  #anchor(voice, startedAt) {
    const heard = this.ear.heardAt(this.clock.toLocal(startedAt, performance.now()) + HEADROOM_MS);
    voice.schedule.anchor(Math.round(heard * this.context.sampleRate));
    voice.inStep = true;
  }

  /** @param {number} turn */
  #voice(turn) {
    let voice = this.voices.get(turn);
    if (!voice) {
      voice = new Voice(turn, this.context, this.master);
      this.voices.set(turn, voice);
      this.#forget(turn);
    }
    return voice;
  }

  /** @param {import("./chunk.js").Chunk} chunk */
  #place(chunk) {
    const voice = this.#voice(chunk.turn);
    if (voice.flushed) return;
    const rate = this.context.sampleRate;
    const perMs = rate / 1000;
    const running = this.ear.awake && !voice.held;
    const now = this.#now();
    if (!voice.schedule.anchored) {
      const startedAt = this.starts.get(chunk.turn);
      if (startedAt !== undefined && this.clock.ready) this.#anchor(voice, startedAt);
      // Without the session's clock, the turn begins here and now: alone, but heard.
      else voice.schedule.anchor(Math.round(now + (HEADROOM_MS - chunk.offsetMs) * perMs));
    }
    // While the device sleeps there is nothing to be late for: the timeline goes on, for captions and lips.
    let earliest = running ? (this.context.currentTime + MARGIN_S) * rate : -Infinity;
    for (const other of this.voices.values()) {
      if (other.turn < voice.turn && !other.flushed && other.segments.length) earliest = Math.max(earliest, other.schedule.tail);
    }
    const frames = Math.round((chunk.samples.length * rate) / chunk.sampleRate);
    const first = voice.segments.length === 0;
    const placement = voice.schedule.place(Math.round(chunk.offsetMs * perMs), frames, earliest, chunk.loudness < QUIET);
    if (!placement) return;
    if (placement.gap) this.underruns++;
    voice.add(chunk, placement.frame, placement.frames, running);
    if (first && running) this.#announce(voice);
  }

  /** Tells when the first sample is heard: a timer reaches that moment, the ear says what it was. @param {Voice} voice */
  #announce(voice) {
    const at = () => this.ear.whenHeard(voice.segments[0].frame / this.context.sampleRate);
    const tell = () => {
      if (!voice.flushed || voice.played > 0) this.handlers.onFirstSound(voice.turn, at());
    };
    setTimeout(tell, Math.max(0, at() - performance.now()));
  }

  #report() {
    if (!this.ear.awake) return;
    const now = this.#now();
    for (const voice of this.voices.values()) {
      const position = voice.flushed ? null : voice.at(now);
      if (!position) continue;
      const offset = Math.round(position.offsetMs);
      // A position that stands still is said once: the last one tells that the turn was heard to its end.
      if (offset === voice.reported) continue;
      voice.reported = offset;
      this.handlers.onPlayed(voice.turn, offset);
    }
  }

  /** What lies ahead is heard from here on: a turn that began in silence is joined where it is now. @param {number} moved s */
  #awake(moved) {
    const frames = Math.round(moved * this.context.sampleRate);
    for (const voice of this.voices.values()) voice.resume(frames);
  }

  /** Turns long past give back their samples. @param {number} newest */
  #forget(newest) {
    for (const [turn, voice] of this.voices) {
      if (turn >= newest - 2 || !voice.over(this.#now())) continue;
      this.samplesBefore += voice.played;
      voice.gain.disconnect();
      this.voices.delete(turn);
      this.starts.delete(turn);
    }
  }
}

/** The wire's own rate where the browser allows it: then no chunk is resampled and joins are exact. */
function openContext() {
  try {
    return new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}
