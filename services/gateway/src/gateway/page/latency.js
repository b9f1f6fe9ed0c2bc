// @ts-check
/** How long this window's user waited, per turn. Pure: times are ms of `performance.now()`. */

/**
 * @typedef {object} Latency ms from pressing Enter (`stopMs`: from pressing STOP) to what the eye or the ear got
 * @property {number} [textMs]
 * @property {number} [audioMs]
 * @property {number} [stopMs]
 */

export class Latencies {
  constructor() {
    /** @type {Map<string, number>} requestId → moment of Enter */
    this.asked = new Map();
    /** @type {Map<number, number>} turn → moment of Enter */
    this.begun = new Map();
    /** @type {Map<number, number>} turn → moment of STOP */
    this.stopped = new Map();
    /** @type {Map<number, Latency>} */
    this.of = new Map();
    /** @type {Map<number, {text?: number, audio?: number}>} turn → moments that came before the turn was known to be ours */
    this.early = new Map();
  }

  /** @param {string} requestId @param {number} now */
  ask(requestId, now) {
    this.asked.set(requestId, now);
  }

  /** @param {string} requestId @param {number} turn */
  number(requestId, turn) {
    const at = this.asked.get(requestId);
    if (at === undefined || !turn) return;
    this.asked.delete(requestId);
    this.begun.set(turn, at);
    // The output socket is another connection: its START may overtake the answer that numbers our message.
    const { text, audio } = this.early.get(turn) ?? {};
    this.early.clear();
    if (text !== undefined) this.text(turn, text);
    if (audio !== undefined) this.audio(turn, audio);
  }

  /** @param {number} turn @param {number} now */
  text(turn, now) {
    this.#first(turn, "text", now);
  }

  /** @param {number} turn @param {number} heard when the first sample reached the ear */
  audio(turn, heard) {
    this.#first(turn, "audio", heard);
  }

  /** @param {number} turn @param {number} now */
  stop(turn, now) {
    if (!this.stopped.has(turn)) this.stopped.set(turn, now);
  }

  /** @param {number} turn @param {number} heard when the ear had silence */
  silent(turn, heard) {
    const at = this.stopped.get(turn);
    if (at !== undefined) this.#entry(turn).stopMs = Math.max(0, heard - at);
  }

  /** Everything, for diagnostics. @returns {Record<string, Latency>} */
  all() {
    return Object.fromEntries([...this.of].map(([turn, latency]) => [turn, { ...latency }]));
  }

  /** @param {number} turn @param {"text"|"audio"} what @param {number} at */
  #first(turn, what, at) {
    const begun = this.begun.get(turn);
    if (begun === undefined) {
      if (this.asked.size) this.early.set(turn, { [what]: at, ...this.early.get(turn) });
      return;
    }
    const entry = this.#entry(turn);
    const field = what === "text" ? "textMs" : "audioMs";
    entry[field] ??= at - begun;
  }

  /** @param {number} turn */
  #entry(turn) {
    let entry = this.of.get(turn);
    if (!entry) this.of.set(turn, (entry = {}));
    return entry;
  }
}
