// @ts-check
/** The button of the microphone, and what was understood so far, above the field. */

import { language } from "./language.js";

/** @type {Record<import("./microphone.js").MicrophoneState, import("./messages.js").TextKey>} */
const LABELS = { off: "micOff", asking: "micAsking", on: "micOn", denied: "micDenied", missing: "micMissing", insecure: "micInsecure" };

export class Listening {
  /** @param {HTMLFormElement} form @param {{onToggle: () => void}} handlers */
  constructor(form, handlers) {
    this.button = /** @type {HTMLButtonElement} */ (form.querySelector(".mic"));
    this.heard = /** @type {HTMLElement} */ (form.querySelector(".heard"));
    /** @type {import("./microphone.js").MicrophoneState} */
    this.state = "off";
    this.button.addEventListener("click", () => handlers.onToggle());
    language.addEventListener("change", () => this.#write());
    this.#write();
  }

  /** @param {import("./microphone.js").MicrophoneState} state */
  show(state) {
    this.state = state;
    if (state !== "on") this.partial("");
    this.#write();
  }

  /** Somebody speaks, and this is understood so far. @param {string} text */
  partial(text) {
    this.heard.textContent = text;
    this.heard.hidden = text === "";
  }

  #write() {
    const label = language.text(LABELS[this.state]);
    this.button.dataset.state = this.state;
    this.button.setAttribute("aria-pressed", String(this.state === "on"));
    this.button.setAttribute("aria-label", label);
    this.button.title = label;
  }
}
