// @ts-check
/** The text field: Enter sends, Shift+Enter breaks the line, Esc stops the reply. */

import { language } from "./language.js";

/** The server's limit for a message, in code points. */
const MAX_LENGTH = 4_000;

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
    this.lengthError = /** @type {HTMLElement} */ (form.querySelector(".length-error"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.area.addEventListener("input", () => this.#update());
    this.area.addEventListener("keydown", (event) => this.#handleKey(event));
    this.stop.addEventListener("click", () => handlers.onStop());
    addEventListener("keydown", (event) => {
      // Esc closes an open dialog.
      if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
      handlers.onStop();
    });
    language.addEventListener("change", () => this.#update());
    this.#update();
    // On touch devices focus would open the keyboard over half of the page.
    if (matchMedia("(pointer: fine)").matches) this.area.focus({ preventScroll: true });
  }

  /** The user is typing a message. */
  get typing() {
    return document.activeElement === this.area && this.area.value.trim() !== "";
  }

  /** @param {boolean} busy a turn is active or sounding */
  setBusy(busy) {
    const key = busy ? "placeholderBusy" : "placeholder";
    if (this.stop.disabled === !busy && this.area.dataset.placeholder === key) return;
    // Disabling the focused button would lose the focus; move it to the text field.
    if (!busy && document.activeElement === this.stop) this.area.focus();
    this.stop.disabled = !busy;
    this.area.dataset.placeholder = key;
    this.area.placeholder = language.text(key);
    // The height of an empty field depends on its placeholder.
    this.#update();
  }

  /** @param {KeyboardEvent} event */
  #handleKey(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    // Enter that confirms an IME composition must not send. Safari marks it only by keyCode 229.
    if (event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.area.value.trim();
    if (!text || [...text].length > MAX_LENGTH) return;
    this.area.value = "";
    this.#update();
    this.handlers.onSay(text);
  }

  #update() {
    const { area } = this;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
    const over = [...area.value.trim()].length - MAX_LENGTH;
    this.lengthError.hidden = over <= 0;
    this.lengthError.textContent = over > 0 ? language.text("tooLong", { over }) : "";
    this.send.disabled = area.value.trim() === "" || over > 0;
  }
}
