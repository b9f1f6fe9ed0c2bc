// @ts-check
/**
 * What this page knows of the session's past: read when it opens, after each break, and where a turn ended without its last word.
 */

import { readHistory } from "./sessions.js";

/** What a break took away comes back piece by piece: the history may be the last of it. */
const AGAIN_MS = [500, 1_500, 4_000];
/** Who is over for so long and still not in the history will never be. */
const LOST_AFTER_MS = 2_000;

export class Recall {
  /**
   * @param {string} sessionId @param {import("./turn.js").Turns} turns
   * @param {{onFailed: () => void, goesOn: (turn: import("./turn.js").Turn) => boolean}} handlers
   *   `goesOn`: more of this turn is still to come, by one of the sockets
   */
  constructor(sessionId, turns, handlers) {
    this.sessionId = sessionId;
    this.turns = turns;
    this.handlers = handlers;
    /** Only the newest reading counts. */
    this.reading = 0;
    this.away = false;
    this.timer = 0;
    this.holeTimer = 0;
    /** The highest number that was looked at. */
    this.seen = 0;
  }

  /** The session is not heard: turns may begin and end. */
  missing() {
    this.away = true;
  }

  /** STATE, the first word of each connection. @param {{phase: string, turn: number}} state */
  told({ phase, turn }) {
    const brokenOff = phase === "IDLE" && this.turns.find(turn)?.status === "running";
    if (this.away || brokenOff) this.read();
    this.away = false;
  }

  /**
   * A turn has its number. The one before it, if it is not known here, may only be on its way into the history: it was said while this page
   * was away, and is filed a moment after its end.
   * @param {number} turn
   */
  numbered(turn) {
    if (turn <= this.seen) return;
    this.seen = turn;
    clearTimeout(this.holeTimer);
    this.#fillHole(turn - 1, 0);
  }

  /** @param {number} turn @param {number} tries */
  #fillHole(turn, tries) {
    if (turn < 1 || tries === AGAIN_MS.length || this.turns.find(turn)) return;
    this.holeTimer = window.setTimeout(() => {
      if (!this.turns.find(turn)) this.read();
      this.#fillHole(turn, tries + 1);
    }, AGAIN_MS[tries]);
  }

  /** Now; does not wait. */
  read() {
    clearTimeout(this.timer);
    this.#read(++this.reading, 0, false);
  }

  /** @param {number} reading @param {number} failures @param {boolean} final whoever is not in it is lost */
  async #read(reading, failures, final) {
    let records;
    try {
      records = await readHistory(this.sessionId);
    } catch {
      if (reading !== this.reading) return;
      if (failures === AGAIN_MS.length) this.handlers.onFailed();
      else this.timer = window.setTimeout(() => this.#read(reading, failures + 1, final), AGAIN_MS[failures]);
      return;
    }
    if (reading !== this.reading) return;
    this.turns.history(records);
    const open = this.turns.unfinished.filter((turn) => !this.handlers.goesOn(turn));
    if (final) for (const { turn } of open) this.turns.failed(null, turn, "turn_lost");
    else if (open.length) this.timer = window.setTimeout(() => this.#read(reading, 0, true), LOST_AFTER_MS);
  }
}
