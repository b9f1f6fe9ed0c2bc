// @ts-check
/**
 * The language of the page. Elements name the key of their message (messages.js): `data-text`,
 * `data-label` (aria-label), `data-hint` (title), `data-placeholder`.
 */

import { ERROR_MESSAGES, MESSAGES, REASON_MESSAGES } from "./messages.js";

const STORAGE_KEY = "vtuber.language";

/** @typedef {import("./messages.js").MessageKey} MessageKey */

class Language extends EventTarget {
  constructor() {
    super();
    /** @type {"en"|"zh"} */
    this.current = readLanguage() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  }

  /** @param {MessageKey} key @param {Record<string, string | number>} [values] */
  text(key, values = {}) {
    return MESSAGES[this.current][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  }

  /** @param {string} code */
  error(code) {
    return this.text(ERROR_MESSAGES[code] ?? "errorDefault", { code });
  }

  /** Why the main path did not answer. @param {string | null} reason */
  reason(reason) {
    return this.text(REASON_MESSAGES[reason ?? ""] ?? (reason?.startsWith("engine_") ? "reasonModel" : "reasonDefault"));
  }

  /** Formats ms as `240 ms` or `1.8 s`. @param {number} ms */
  duration(ms) {
    return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
  }

  /** Fills every element below `root` that names a message. @param {ParentNode} root */
  apply(root) {
    document.documentElement.lang = this.current === "zh" ? "zh-CN" : "en";
    forEachElement(root, "data-text", (element, key) => (element.textContent = this.text(key)));
    forEachElement(root, "data-label", (element, key) => element.setAttribute("aria-label", this.text(key)));
    forEachElement(root, "data-hint", (element, key) => element.setAttribute("title", this.text(key)));
    forEachElement(root, "data-placeholder", (element, key) => element.setAttribute("placeholder", this.text(key)));
  }

  toggle() {
    this.current = this.current === "zh" ? "en" : "zh";
    try {
      localStorage.setItem(STORAGE_KEY, this.current);
    } catch {
      // Private windows may reject storage; the choice then lasts as long as the page.
    }
    this.apply(document);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Detects the language of a message from its letters; without letters, the page's language.
   * @param {string} content
   * @returns {"en"|"zh"}
   */
  detect(content) {
    if (/\p{Script=Han}/u.test(content)) return "zh";
    return /\p{Script=Latin}/u.test(content) ? "en" : this.current;
  }
}

/** @param {ParentNode} root @param {string} attribute @param {(element: Element, key: MessageKey) => void} fill */
function forEachElement(root, attribute, fill) {
  for (const element of root.querySelectorAll(`[${attribute}]`)) {
    fill(element, /** @type {MessageKey} */ (element.getAttribute(attribute)));
  }
}

/** @returns {"en"|"zh"|null} */
function readLanguage() {
  try {
    const value = localStorage.getItem(STORAGE_KEY);
    return value === "en" || value === "zh" ? value : null;
  } catch {
    return null;
  }
}

export const language = new Language();
