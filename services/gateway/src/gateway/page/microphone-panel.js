// @ts-check
/** The microphone button, and the interim transcript above the text field. */

import { language } from "./language.js";

/** @type {Record<import("./microphone.js").MicrophoneState, import("./messages.js").MessageKey>} */
const LABELS = { off: "micOff", asking: "micAsking", on: "micOn", denied: "micDenied", missing: "micMissing", insecure: "micInsecure" };

export class MicrophonePanel {
  /** @param {HTMLFormElement} form @param {{onToggle: () => void}} handlers */
  constructor(form, handlers) {
    this.button = /** @type {HTMLButtonElement} */ (form.querySelector(".mic"));
    this.transcript = /** @type {HTMLElement} */ (form.querySelector(".transcript"));
    /** @type {import("./microphone.js").MicrophoneState} */
    this.state = "off";
    this.button.addEventListener("click", () => handlers.onToggle());
    language.addEventListener("change", () => this.#render());
    this.#render();
  }

  /** @param {import("./microphone.js").MicrophoneState} state */
  setState(state) {
    this.state = state;
    if (state !== "on") this.showTranscript("");
    this.#render();
  }

  /** The interim transcript of the current utterance; empty hides it. @param {string} text */
  showTranscript(text) {
    this.transcript.textContent = text;
    this.transcript.hidden = text === "";
  }

  #render() {
    const label = language.text(LABELS[this.state]);
    this.button.dataset.state = this.state;
    this.button.setAttribute("aria-pressed", String(this.state === "on"));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }
}
