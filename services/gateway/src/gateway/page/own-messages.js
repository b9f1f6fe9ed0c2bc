// @ts-check
/** Which words of a session this browser said: kept here, so that a reload still knows. Everybody else's are somebody else's. */

const KEY = "vtuber.own";
/** The newest of all sessions; the oldest go. */
const KEPT = 400;
/** So much of a message tells it from another one with the same number, after a session was deleted and begun anew. */
const HEAD = 40;

export class OwnWords {
  /** @param {string} sessionId */
  constructor(sessionId) {
    this.sessionId = sessionId;
    /** @type {string[]} */
    this.names = stored();
  }

  /** This window asks. @param {string} requestId */
  asked(requestId) {
    this.#keep(requestId);
  }

  /** What this window said has a number. @param {number} turn @param {string} user */
  numbered(turn, user) {
    if (turn) this.#keep(this.#name(turn, user));
  }

  /** @param {{turn: number, user: string, requestId?: string}} record */
  has({ turn, user, requestId }) {
    return this.names.includes(this.#name(turn, user)) || (requestId !== undefined && this.names.includes(requestId));
  }

  /** @param {number} turn @param {string} user */
  #name(turn, user) {
    return `${this.sessionId}#${turn} ${user.trim().slice(0, HEAD)}`;
  }

  /** @param {string} name */
  #keep(name) {
    if (this.names.includes(name)) return;
    // Another window of this browser may have kept its own meanwhile.
    this.names = [...new Set([...stored(), ...this.names, name])].slice(-KEPT);
    try {
      localStorage.setItem(KEY, JSON.stringify(this.names));
    } catch {
      // Without storage it lasts as long as the page.
    }
  }
}

/** @returns {string[]} */
function stored() {
  try {
    const names = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}
