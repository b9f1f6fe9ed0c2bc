// @ts-check
/** Volume slider and mute button. The values are stored in this browser. */

import { language } from "./language.js";

const VOLUME_KEY = "vtuber.volume";
const MUTED_KEY = "vtuber.muted";

export class VolumeControl {
  /** @param {HTMLElement} root @param {(volume: number) => void} onChange volume 0..1 */
  constructor(root, onChange) {
    this.onChange = onChange;
    this.button = /** @type {HTMLButtonElement} */ (root.querySelector("button"));
    this.slider = /** @type {HTMLInputElement} */ (root.querySelector("input"));
    this.muted = readMuted();
    this.slider.value = String(readVolume());
    this.slider.addEventListener("input", () => {
      this.muted = false;
      this.#apply();
    });
    this.button.addEventListener("click", () => {
      this.muted = !this.muted;
      if (!this.muted && this.slider.value === "0") this.slider.value = "60";
      this.#apply();
    });
    language.addEventListener("change", () => this.#apply());
    this.#apply();
  }

  #apply() {
    const percent = Number(this.slider.value);
    const silent = this.muted || percent === 0;
    this.slider.style.setProperty("--filled", `${silent ? 0 : percent}%`);
    this.button.classList.toggle("silent", silent);
    this.button.setAttribute("aria-label", language.text(silent ? "unmute" : "mute"));
    this.onChange(silent ? 0 : percent / 100);
    try {
      localStorage.setItem(VOLUME_KEY, String(percent));
      localStorage.setItem(MUTED_KEY, String(this.muted));
    } catch {
      // Without storage the next visit starts with the default.
    }
  }
}

function readMuted() {
  try {
    return localStorage.getItem(MUTED_KEY) === "true";
  } catch {
    return false;
  }
}

function readVolume() {
  try {
    const value = Number(localStorage.getItem(VOLUME_KEY) ?? 90);
    return value >= 0 && value <= 100 ? value : 90;
  } catch {
    return 90;
  }
}
