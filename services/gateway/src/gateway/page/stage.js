// @ts-check
/** The elements around the character: phase, connection state, the button that enables sound, notices. */

import { language } from "./language.js";

const NOTICE_MS = 6_000;
/** An AudioContext that is allowed to run is suspended for a moment first; the button must not flash then. */
const ENABLE_SOUND_DELAY_MS = 350;

export class Stage {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.phase = /** @type {HTMLElement} */ (root.querySelector(".phase"));
    this.enableSound = /** @type {HTMLElement} */ (root.querySelector(".enable-sound"));
    this.noticeLine = /** @type {HTMLElement} */ (root.querySelector(".notice"));
    this.connection = /** @type {HTMLElement} */ (document.querySelector(".connection"));
    this.enableSoundTimer = 0;
    this.noticeTimer = 0;
    this.shown = { phase: "IDLE", connection: "connecting" };
    language.addEventListener("change", () => this.#render());
    this.#render();
  }

  /** @param {string} phase */
  setPhase(phase) {
    this.shown.phase = phase;
    this.#render();
  }

  /** Shows the worse state of the two sockets. @param {string} input @param {string} output */
  setConnection(input, output) {
    const order = ["offline", "reconnecting", "connecting", "connected"];
    this.shown.connection = order.find((state) => state === input || state === output) ?? "connected";
    this.#render();
  }

  /** @param {boolean} blocked the browser does not allow audio before a user gesture */
  setAudioBlocked(blocked) {
    clearTimeout(this.enableSoundTimer);
    if (!blocked) this.enableSound.hidden = true;
    else this.enableSoundTimer = window.setTimeout(() => (this.enableSound.hidden = false), ENABLE_SOUND_DELAY_MS);
  }

  /** @param {string} text @param {number} [ms] how long it is shown */
  notice(text, ms = NOTICE_MS) {
    clearTimeout(this.noticeTimer);
    this.noticeLine.textContent = text;
    this.noticeLine.hidden = false;
    this.noticeTimer = window.setTimeout(() => (this.noticeLine.hidden = true), ms);
  }

  #render() {
    const { phase, connection } = this.shown;
    this.phase.dataset.phase = phase;
    const label = /** @type {HTMLElement} */ (this.phase.querySelector(".label"));
    label.textContent = language.text(/** @type {import("./messages.js").MessageKey} */ (`phase${phase}`));
    this.connection.dataset.state = connection;
    const state = /** @type {HTMLElement} */ (this.connection.querySelector(".label"));
    state.textContent = language.text(/** @type {import("./messages.js").MessageKey} */ (connection));
  }
}
