// @ts-check
/**
 * Remembers in localStorage which messages were sent from this browser, so that they are still shown
 * as the user's own after a reload. All other messages are shown as another viewer's.
 *
 * A message is identified by its requestId, or by its turn number and the first characters of its
 * text: a spoken message has no requestId, and the history need not hold one.
 */

const STORAGE_KEY = "vtuber.own";
/** Of all sessions together; the oldest are dropped. */
const MAX_KEYS = 400;
/** Characters that distinguish a message from one with the same number, if the session was deleted and recreated. */
const PREFIX_LENGTH = 40;

export class OwnMessages {
  /** @param {string} sessionId */
  constructor(sessionId) {
    this.sessionId = sessionId;
    /** @type {string[]} */
    this.keys = storedKeys();
  }

  /** This window sends a message. @param {string} requestId */
  addRequest(requestId) {
    this.#add(requestId);
  }

  /** A message of this window was numbered. @param {number} turn @param {string} user */
  addTurn(turn, user) {
    if (turn) this.#add(this.#turnKey(turn, user));
  }

  /** @param {{turn: number, user: string, requestId?: string}} record */
  has({ turn, user, requestId }) {
    return this.keys.includes(this.#turnKey(turn, user)) || (requestId !== undefined && this.keys.includes(requestId));
  }

  /** @param {number} turn @param {string} user */
  #turnKey(turn, user) {
    return `${this.sessionId}#${turn} ${user.trim().slice(0, PREFIX_LENGTH)}`;
  }

  /** @param {string} key */
  #add(key) {
    if (this.keys.includes(key)) return;
    // Another window of this browser may have stored keys meanwhile.
    this.keys = [...new Set([...storedKeys(), ...this.keys, key])].slice(-MAX_KEYS);
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(this.keys));
    } catch {
      // Without storage the keys last as long as the page.
    }
  }
}

/** @returns {string[]} */
function storedKeys() {
  try {
    const keys = JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
    return Array.isArray(keys) ? keys.filter((key) => typeof key === "string") : [];
  } catch {
    return [];
  }
}
