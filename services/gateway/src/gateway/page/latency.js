// @ts-check
/**
 * Measures per turn how long the user of this window waited. Pure: times are ms of `performance.now()`.
 *
 * The number of a turn and its text or audio arrive over different sockets, so the first text may
 * arrive before the number. Such times are kept until the number is known.
 */

/**
 * @typedef {object} Latency ms from Enter to the first text and to the first audible sample; `stopMs`: from STOP to silence
 * @property {number} [textMs]
 * @property {number} [audioMs]
 * @property {number} [stopMs]
 */

export class Latencies {
  constructor() {
    /** @type {Map<string, number>} requestId → time of Enter */
    this.sentAt = new Map();
    /** @type {Map<number, number>} turn → time of Enter */
    this.sentAtByTurn = new Map();
    /** @type {Map<number, number>} turn → time of STOP */
    this.stopPressedAt = new Map();
    /** @type {Map<number, Latency>} */
    this.byTurn = new Map();
    /**
     * @type {Map<number, {text?: number, audio?: number}>} turn → first text and audio, seen before the turn was known to be this window's
     */
    this.early = new Map();
  }

  /** @param {string} requestId @param {number} now */
  sent(requestId, now) {
    this.sentAt.set(requestId, now);
  }

  /** @param {string} requestId @param {number} turn */
  assignTurn(requestId, turn) {
    const at = this.sentAt.get(requestId);
    if (at === undefined || !turn) return;
    this.sentAt.delete(requestId);
    this.sentAtByTurn.set(turn, at);
    // The output socket is another connection: its frames may arrive before the number of the message.
    const { text, audio } = this.early.get(turn) ?? {};
    this.early.clear();
    if (text !== undefined) this.firstText(turn, text);
    if (audio !== undefined) this.firstAudio(turn, audio);
  }

  /** @param {number} turn @param {number} now */
  firstText(turn, now) {
    this.#record(turn, "text", now);
  }

  /** @param {number} turn @param {number} at when the first sample was audible */
  firstAudio(turn, at) {
    this.#record(turn, "audio", at);
  }

  /** @param {number} turn @param {number} now */
  stopPressed(turn, now) {
    if (!this.stopPressedAt.has(turn)) this.stopPressedAt.set(turn, now);
  }

  /** @param {number} turn @param {number} now when the turn became inaudible */
  silenced(turn, now) {
    const pressedAt = this.stopPressedAt.get(turn);
    if (pressedAt !== undefined) this.#entry(turn).stopMs = Math.max(0, now - pressedAt);
  }

  /** All turns, for diagnostics. @returns {Record<string, Latency>} */
  all() {
    return Object.fromEntries([...this.byTurn].map(([turn, latency]) => [turn, { ...latency }]));
  }

  /** @param {number} turn @param {"text"|"audio"} what @param {number} at */
  #record(turn, what, at) {
    const sentAt = this.sentAtByTurn.get(turn);
    if (sentAt === undefined) {
      if (this.sentAt.size) this.early.set(turn, { [what]: at, ...this.early.get(turn) });
      return;
    }
    const entry = this.#entry(turn);
    const field = what === "text" ? "textMs" : "audioMs";
    entry[field] ??= at - sentAt;
  }

  /** @param {number} turn */
  #entry(turn) {
    let entry = this.byTurn.get(turn);
    if (!entry) this.byTurn.set(turn, (entry = {}));
    return entry;
  }
}
