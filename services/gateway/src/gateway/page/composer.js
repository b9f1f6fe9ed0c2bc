// @ts-check
/** Where the user writes: Enter sends, Shift+Enter breaks the line, Esc stops her. */

import { language } from "./language.js";

/** The server's limit of a message, in characters. */
const LONGEST = 4_000;

export class Composer {
  /**
   * @param {HTMLFormElement} form
   * @param {{onSay: (text: string) => void, onStop: () => void}} handlers
   */
  constructor(form, handlers) {
    this.handlers = handlers;
    this.area = /** @type {HTMLTextAreaElement} */ (form.querySelector("textarea"));
    this.send = /** @type {HTMLButtonElement} */ (form.querySelector(".send"));
    this.stop = /** @type {HTMLButtonElement} */ (form.querySelector(".stop"));
    this.over = /** @type {HTMLElement} */ (form.querySelector(".over"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.area.addEventListener("input", () => this.#changed());
    this.area.addEventListener("keydown", (event) => this.#key(event));
    this.stop.addEventListener("click", () => handlers.onStop());
    addEventListener("keydown", (event) => {
      // A dialog that is open takes Esc for itself.
      if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
      handlers.onStop();
    });
    language.addEventListener("change", () => this.#changed());
    this.#changed();
    // Where a finger would only bring up a keyboard over half of the page, it stays down.
    if (matchMedia("(pointer: fine)").matches) this.area.focus({ preventScroll: true });
  }

  /** Somebody is writing something. */
  get writing() {
    return document.activeElement === this.area && this.area.value.trim() !== "";
  }

  /** @param {boolean} busy she is thinking or speaking */
  setBusy(busy) {
    const key = busy ? "placeholderBusy" : "placeholder";
    if (this.stop.disabled === !busy && this.area.dataset.placeholder === key) return;
    // A button that is disabled drops the focus to nowhere; the keyboard goes on in the text.
    if (!busy && document.activeElement === this.stop) this.area.focus();
    this.stop.disabled = !busy;
    this.area.dataset.placeholder = key;
    this.area.placeholder = language.text(key);
    // A field without a text is as high as its placeholder.
    this.#changed();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    // Enter that ends the composition of a hanzi is not Enter; Safari tells it only by the old code.
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.area.value.trim();
    if (!text || [...text].length > LONGEST) return;
    this.area.value = "";
    this.#changed();
    this.handlers.onSay(text);
  }

  #changed() {
    const { area } = this;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
    const over = [...area.value.trim()].length - LONGEST;
    this.over.hidden = over <= 0;
    this.over.textContent = over > 0 ? language.text("tooLong", { over }) : "";
    this.send.disabled = area.value.trim() === "" || over > 0;
  }
}
