// @ts-check
/** What stands around the character: phase, connection, the invitation to listen, short notices. */

import { language } from "./language.js";

const NOTICE_MS = 6_000;
/** A context that is about to run is suspended for a moment; the invitation does not flash for that. */
const PATIENCE_MS = 350;

export class Stage {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.phase = /** @type {HTMLElement} */ (root.querySelector(".phase"));
    this.hear = /** @type {HTMLElement} */ (root.querySelector(".hear"));
    this.note = /** @type {HTMLElement} */ (root.querySelector(".notice"));
    this.link = /** @type {HTMLElement} */ (document.querySelector(".link"));
    this.hearTimer = 0;
    this.noteTimer = 0;
    this.now = { phase: "IDLE", link: "connecting" };
    language.addEventListener("change", () => this.#write());
    this.#write();
  }

  /** @param {string} phase */
  setPhase(phase) {
    this.now.phase = phase;
    this.#write();
  }

  /** The worse of the two sockets is what the user has. @param {string} input @param {string} output */
  setConnection(input, output) {
    const order = ["offline", "reconnecting", "connecting", "connected"];
    this.now.link = order.find((state) => state === input || state === output) ?? "connected";
    this.#write();
  }

  /** @param {boolean} silenced the browser does not let the page sound yet */
  setSilenced(silenced) {
    clearTimeout(this.hearTimer);
    if (!silenced) this.hear.hidden = true;
    else this.hearTimer = window.setTimeout(() => (this.hear.hidden = false), PATIENCE_MS);
  }

  /** @param {string} text @param {number} [ms] for longer sentences */
  notice(text, ms = NOTICE_MS) {
    clearTimeout(this.noteTimer);
    this.note.textContent = text;
    this.note.hidden = false;
    this.noteTimer = window.setTimeout(() => (this.note.hidden = true), ms);
  }

  #write() {
    const { phase, link } = this.now;
    this.phase.dataset.phase = phase;
    const label = /** @type {HTMLElement} */ (this.phase.querySelector(".label"));
    label.textContent = language.text(/** @type {import("./messages.js").TextKey} */ (`phase${phase}`));
    this.link.dataset.state = link;
    const state = /** @type {HTMLElement} */ (this.link.querySelector(".label"));
    state.textContent = language.text(/** @type {import("./messages.js").TextKey} */ (link));
  }
}
