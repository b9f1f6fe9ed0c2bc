// @ts-check
/** Which language the page speaks. Elements name their text: `data-text`, `data-label` (aria), `data-hint` (title), `data-placeholder`. */

import { ERROR_TEXTS, REASON_TEXTS, TEXTS } from "./messages.js";

const KEY = "vtuber.language";

/** @typedef {import("./messages.js").TextKey} TextKey */

class Language extends EventTarget {
  constructor() {
    super();
    /** @type {"en"|"zh"} */
    this.current = stored() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
  }

  /** @param {TextKey} key @param {Record<string, string | number>} [values] */
  text(key, values = {}) {
    return TEXTS[this.current][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
  }

  /** @param {string} code */
  error(code) {
    return this.text(ERROR_TEXTS[code] ?? "errorDefault", { code });
  }

  /** Why the main path did not answer. @param {string | null} reason */
  reason(reason) {
    return this.text(REASON_TEXTS[reason ?? ""] ?? (reason?.startsWith("engine_") ? "reasonModel" : "reasonDefault"));
  }

  /** ms for people: `240 ms`, `1.8 s`. @param {number} ms */
  duration(ms) {
    return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
  }

  /** Fill every element below `root` that names a text. @param {ParentNode} root */
  apply(root) {
    document.documentElement.lang = this.current === "zh" ? "zh-CN" : "en";
    each(root, "data-text", (element, key) => (element.textContent = this.text(key)));
    each(root, "data-label", (element, key) => element.setAttribute("aria-label", this.text(key)));
    each(root, "data-hint", (element, key) => element.setAttribute("title", this.text(key)));
    each(root, "data-placeholder", (element, key) => element.setAttribute("placeholder", this.text(key)));
  }

  toggle() {
    this.current = this.current === "zh" ? "en" : "zh";
    try {
      localStorage.setItem(KEY, this.current);
    } catch {
      // Private windows may refuse storage; the choice then lasts as long as the page.
    }
    this.apply(document);
    this.dispatchEvent(new Event("change"));
  }

  /** Language of a message, from its letters; without any, the page's. @param {string} content @returns {"en"|"zh"} */
  of(content) {
    if (/\p{Script=Han}/u.test(content)) return "zh";
    return /\p{Script=Latin}/u.test(content) ? "en" : this.current;
  }
}

/** @param {ParentNode} root @param {string} attribute @param {(element: Element, key: TextKey) => void} fill */
function each(root, attribute, fill) {
  for (const element of root.querySelectorAll(`[${attribute}]`)) {
    fill(element, /** @type {TextKey} */ (element.getAttribute(attribute)));
  }
}

/** @returns {"en"|"zh"|null} */
function stored() {
  try {
    const value = localStorage.getItem(KEY);
    return value === "en" || value === "zh" ? value : null;
  } catch {
    return null;
  }
}

export const language = new Language();
