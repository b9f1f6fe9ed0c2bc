// @ts-check
/**
 * Keeps the turns of this page in line with the stored history of the session.
 *
 * The history is loaded when the page opens, after each reconnect, when a turn number was skipped,
 * and when a turn ended without its last event. A turn that is over and still unfinished here after
 * a second load, two seconds later, is marked as lost.
 */

import { readHistory } from "./sessions.js";

/** After a lost connection the history may be readable later than the sockets. */
const RETRY_DELAYS_MS = [500, 1_500, 4_000];
/** A turn is stored shortly after its end; one that is still absent after this time was lost. */
const LOST_TURN_DELAY_MS = 2_000;

export class HistorySync {
  /**
   * @param {string} sessionId @param {import("./turn.js").Turns} turns
   * @param {{onFailed: () => void, isLive: (turn: import("./turn.js").Turn) => boolean}} handlers
   *   `isLive`: one of the sockets will still deliver more of this turn
   */
  constructor(sessionId, turns, handlers) {
    this.sessionId = sessionId;
    this.turns = turns;
    this.handlers = handlers;
    /** Of the latest load; the results of earlier ones are ignored. */
    this.generation = 0;
    this.disconnected = false;
    this.retryTimer = 0;
    this.gapTimer = 0;
    /** The highest turn number that was seen. */
    this.highestTurn = 0;
  }

  /** The output socket is not connected: turns may start and end unnoticed. */
  outputLost() {
    this.disconnected = true;
  }

  /** STATE, the first frame of each connection. @param {{phase: string, turn: number}} state */
  stateReceived({ phase, turn }) {
    const unfinished = phase === "IDLE" && this.turns.find(turn)?.status === "running";
    if (this.disconnected || unfinished) this.load();
    this.disconnected = false;
  }

  /**
   * A turn was numbered. If the turn before it is unknown here, it took place while this page was
   * disconnected. It is stored only a moment after its end, so the history may have to be read again.
   * @param {number} turn
   */
  turnNumbered(turn) {
    if (turn <= this.highestTurn) return;
    this.highestTurn = turn;
    clearTimeout(this.gapTimer);
    this.#fillGap(turn - 1, 0);
  }

  /** @param {number} turn @param {number} tries */
  #fillGap(turn, tries) {
    if (turn < 1 || tries === RETRY_DELAYS_MS.length || this.turns.find(turn)) return;
    this.gapTimer = window.setTimeout(() => {
      if (!this.turns.find(turn)) this.load();
      this.#fillGap(turn, tries + 1);
    }, RETRY_DELAYS_MS[tries]);
  }

  /** Starts to load now and returns at once. */
  load() {
    clearTimeout(this.retryTimer);
    this.#load(++this.generation, 0, false);
  }

  /**
   * @param {number} generation
   * @param {number} failures
   * @param {boolean} last turns that stay unfinished after this load are lost
   */
  async #load(generation, failures, last) {
    let records;
    try {
      records = await readHistory(this.sessionId);
    } catch {
      if (generation !== this.generation) return;
      if (failures === RETRY_DELAYS_MS.length) this.handlers.onFailed();
      else this.retryTimer = window.setTimeout(() => this.#load(generation, failures + 1, last), RETRY_DELAYS_MS[failures]);
      return;
    }
    if (generation !== this.generation) return;
    this.turns.mergeHistory(records);
    const open = this.turns.unfinished.filter((turn) => !this.handlers.isLive(turn));
    if (last) for (const { turn } of open) this.turns.failed(null, turn, "turn_lost");
    else if (open.length) this.retryTimer = window.setTimeout(() => this.#load(generation, 0, true), LOST_TURN_DELAY_MS);
  }
}
