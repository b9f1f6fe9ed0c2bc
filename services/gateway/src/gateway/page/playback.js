// @ts-check
/**
 * Plays the chunks of a session, synchronized with all other windows of the session.
 *
 * Audio offset `o` of a turn must sound at `startedAt + o + HEADROOM_MS` on output-handler's clock.
 * The server clock (clock.js) converts that time to `performance.now()`, and the audio clock
 * (audio-clock.js) converts it to a frame of the AudioContext. Each turn has its own TurnAudio; a
 * turn starts only after the audio of the turns before it. The position is reported to the server
 * every 200 ms while it advances.
 */

import { AudioClock } from "./audio-clock.js";
import { TurnAudio } from "./turn-audio.js";

const SAMPLE_RATE = 24_000;
/** Delay that hides network jitter and output latency. Equal in all windows, which keeps them synchronized. */
const HEADROOM_MS = 60;
/** A node that starts sooner than this may miss its first render quantum. */
const MIN_START_LEAD_S = 0.008;
/** A page opened in the middle of a turn receives chunks before its first clock sample. They wait for it this long. */
const CLOCK_TIMEOUT_MS = 500;
const REPORT_INTERVAL_MS = 200;
/** A chunk whose RMS is below this counts as a pause. */
const SILENCE_RMS = 0.003;

export class Playback {
  /**
   * @param {import("./clock.js").Clock} clock
   * @param {{onPlayed: (turn: number, offsetMs: number) => void, onFirstSound: (turn: number, at: number) => void,
   *          onState: (state: AudioContextState) => void}} handlers `at`: `performance.now()` at which it is audible
   */
  constructor(clock, handlers) {
    this.clock = clock;
    this.handlers = handlers;
    this.context = openContext();
    this.audioClock = new AudioClock(this.context, (moved) => this.#deviceRunning(moved));
    this.master = new GainNode(this.context);
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.master.connect(this.analyser).connect(this.context.destination);
    this.recentSamples = new Float32Array(this.analyser.fftSize);
    /** @type {Map<number, TurnAudio>} */
    this.audioByTurn = new Map();
    /** @type {Map<number, number>} turn → startedAt, ms on output-handler's clock */
    this.startTimes = new Map();
    /** @type {import("./chunk.js").Chunk[]} */
    this.waitingChunks = [];
    this.underruns = 0;
    this.discardedFrames = 0;
    this.context.onstatechange = () => {
      this.audioClock.contextStateChanged();
      handlers.onState(this.context.state);
    };
    setInterval(() => this.#reportPositions(), REPORT_INTERVAL_MS);
  }

  get state() {
    return this.context.state;
  }

  /** Browsers block audio until the first user gesture; every gesture calls this. */
  unlock() {
    if (this.context.state !== "running") this.context.resume().catch(() => undefined);
  }

  /** @param {number} volume 0..1 */
  setVolume(volume) {
    // A squared gain makes the slider feel roughly linear. The ramp avoids crackling while it moves.
    this.master.gain.setTargetAtTime(volume * volume, this.context.currentTime, 0.015);
  }

  /** From STATE SPEAKING; sent again with a later time after a pause. @param {number} turn @param {number} startedAt */
  setStartTime(turn, startedAt) {
    const previous = this.startTimes.get(turn);
    const unchanged = previous === startedAt;
    this.startTimes.set(turn, startedAt);
    const audio = this.audioByTurn.get(turn);
    if (audio?.paused) {
      // Move the whole turn by the pause. A new anchor could separate segments that are already joined.
      if (previous !== undefined) audio.resume(Math.round((startedAt - previous) * (this.context.sampleRate / 1000)));
      return;
    }
    // An unchanged time must not anchor again: the clock estimates have drifted by a few frames since.
    if (audio && this.clock.ready && !(unchanged && audio.synchronized)) this.#anchor(audio, startedAt);
  }

  /** @param {import("./chunk.js").Chunk} chunk */
  addChunk(chunk) {
    if (!this.clock.ready) {
      if (this.waitingChunks.push(chunk) === 1) setTimeout(() => this.placeWaiting(), CLOCK_TIMEOUT_MS);
      return;
    }
    this.#placeChunk(chunk);
  }

  /** The clock is ready, or its timeout has passed: places the waiting chunks and synchronizes what started without it. */
  placeWaiting() {
    for (const audio of this.audioByTurn.values()) {
      const startedAt = this.startTimes.get(audio.turn);
      if (!audio.synchronized && audio.schedule.anchored && startedAt !== undefined && this.clock.ready) this.#anchor(audio, startedAt);
    }
    for (const chunk of this.waitingChunks.splice(0)) this.#placeChunk(chunk);
  }

  /**
   * PAUSE, at a possible interruption. A later STATE gives the new start time, or STOP ends the turn.
   * @param {number} turn
   */
  pause(turn) {
    this.#audioFor(turn).pause(this.#currentFrame());
  }

  /**
   * RESUME. Only for a turn that was paused before its first chunk: any other one resumes in setStartTime.
   * @param {number} turn
   */
  resume(turn) {
    const audio = this.audioByTurn.get(turn);
    if (audio?.paused && !audio.schedule.anchored) audio.resume(0);
  }

  /**
   * STOP: silences a turn at once and for good.
   * @param {number} turn
   * @returns {number | null} `performance.now()` from which the turn is inaudible; null if it was not sounding
   */
  flush(turn) {
    this.waitingChunks = this.waitingChunks.filter((chunk) => chunk.turn !== turn);
    const now = this.#currentFrame();
    // A turn without audio gets a flushed TurnAudio: chunks that arrive after the STOP must find it.
    const audio = this.#audioFor(turn);
    if (audio.flushed) return null;
    const position = audio.positionAt(now);
    const sounding = this.audioClock.running && !audio.isOver(now) && position !== null;
    const silentAt = audio.flush(now);
    if (position && this.audioClock.running) this.handlers.onPlayed(turn, Math.round(position.offsetMs));
    return sounding ? this.audioClock.localTimeAt(silentAt) : null;
  }

  /** Playback position of the newest turn that has begun to sound; null before the first one. */
  position() {
    const now = this.#currentFrame();
    let found = null;
    for (const audio of this.audioByTurn.values()) {
      const position = audio.positionAt(now);
      if (position) found = { audio, turn: audio.turn, ...position };
    }
    return found;
  }

  /** Frames that have sounded since the page was loaded. */
  get samplesPlayed() {
    let sum = this.discardedFrames;
    for (const audio of this.audioByTurn.values()) sum += audio.playedFrames;
    return sum;
  }

  /** RMS of the last 43 ms of output, after the volume, 0..1. */
  get rms() {
    this.analyser.getFloatTimeDomainData(this.recentSamples);
    let power = 0;
    for (const sample of this.recentSamples) power += sample * sample;
    return Math.sqrt(power / this.recentSamples.length);
  }

  /** ms by which a turn lags behind the session's clock in this window. @param {number} turn */
  shiftMs(turn) {
    return ((this.audioByTurn.get(turn)?.schedule.shift ?? 0) / this.context.sampleRate) * 1000;
  }

  /** The frame of the AudioContext that is audible now; not an integer. */
  #currentFrame() {
    return this.audioClock.contextTimeAt(performance.now()) * this.context.sampleRate;
  }

  /** @param {TurnAudio} audio @param {number} startedAt */
  #anchor(audio, startedAt) {
    const contextTime = this.audioClock.contextTimeAt(this.clock.toLocal(startedAt, performance.now()) + HEADROOM_MS);
    audio.schedule.anchor(Math.round(contextTime * this.context.sampleRate));
    audio.synchronized = true;
  }

  /** @param {number} turn */
  #audioFor(turn) {
    let audio = this.audioByTurn.get(turn);
    if (!audio) {
      audio = new TurnAudio(turn, this.context, this.master);
      this.audioByTurn.set(turn, audio);
      this.#discardPast(turn);
    }
    return audio;
  }

  /** @param {import("./chunk.js").Chunk} chunk */
  #placeChunk(chunk) {
    const audio = this.#audioFor(chunk.turn);
    if (audio.flushed) return;
    const rate = this.context.sampleRate;
    const framesPerMs = rate / 1000;
    const running = this.audioClock.running && !audio.paused;
    const now = this.#currentFrame();
    if (!audio.schedule.anchored) {
      const startedAt = this.startTimes.get(chunk.turn);
      if (startedAt !== undefined && this.clock.ready) this.#anchor(audio, startedAt);
      // Without a clock the turn starts now: not synchronized, but audible.
      else audio.schedule.anchor(Math.round(now + (HEADROOM_MS - chunk.offsetMs) * framesPerMs));
    }
    // A suspended device plays nothing, so no chunk is late. The timeline still advances, for captions and lip sync.
    let earliest = running ? (this.context.currentTime + MIN_START_LEAD_S) * rate : -Infinity;
    for (const other of this.audioByTurn.values()) {
      if (other.turn < audio.turn && !other.flushed && other.segments.length) earliest = Math.max(earliest, other.schedule.tail);
    }
    const frames = Math.round((chunk.samples.length * rate) / chunk.sampleRate);
    const isFirst = audio.segments.length === 0;
    const placement = audio.schedule.place(Math.round(chunk.offsetMs * framesPerMs), frames, earliest, chunk.loudness < SILENCE_RMS);
    if (!placement) return;
    if (placement.underrun) this.underruns++;
    audio.add(chunk, placement.frame, placement.frames, running);
    if (isFirst && running) this.#reportFirstSound(audio);
  }

  /** The timer only waits; the reported time comes from the audio clock as it is then. @param {TurnAudio} audio */
  #reportFirstSound(audio) {
    const at = () => this.audioClock.localTimeAt(audio.segments[0].frame / this.context.sampleRate);
    const report = () => {
      if (!audio.flushed || audio.playedFrames > 0) this.handlers.onFirstSound(audio.turn, at());
    };
    setTimeout(report, Math.max(0, at() - performance.now()));
  }

  #reportPositions() {
    if (!this.audioClock.running) return;
    const now = this.#currentFrame();
    for (const audio of this.audioByTurn.values()) {
      const position = audio.flushed ? null : audio.positionAt(now);
      if (!position) continue;
      const offset = Math.round(position.offsetMs);
      // A position that does not advance is reported once: the last report tells that the turn was played to its end.
      if (offset === audio.reportedMs) continue;
      audio.reportedMs = offset;
      this.handlers.onPlayed(audio.turn, offset);
    }
  }

  /**
   * The device started: a turn that began while it was suspended becomes audible at its current position.
   * @param {number} moved s
   */
  #deviceRunning(moved) {
    const frames = Math.round(moved * this.context.sampleRate);
    for (const audio of this.audioByTurn.values()) audio.resume(frames);
  }

  /** Frees the samples of turns that ended at least two turns ago. @param {number} newest */
  #discardPast(newest) {
    for (const [turn, audio] of this.audioByTurn) {
      if (turn >= newest - 2 || !audio.isOver(this.#currentFrame())) continue;
      this.discardedFrames += audio.playedFrames;
      audio.gain.disconnect();
      this.audioByTurn.delete(turn);
      this.startTimes.delete(turn);
    }
  }
}

/** Uses the sample rate of the wire if the browser can: no chunk is resampled then, and joins are exact. */
function openContext() {
  try {
    return new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}
