// @ts-check
/** Content of an empty conversation: the character's name and three suggested questions. */

import { language } from "./language.js";

/** @type {import("./messages.js").MessageKey[]} */
const QUESTIONS = ["questionWho", "questionCan", "questionJoke"];

export class Greeting {
  /** @param {HTMLElement} root @param {(text: string) => void} onAsk */
  constructor(root, onAsk) {
    this.title = /** @type {HTMLElement} */ (root.querySelector("h2"));
    this.buttons = QUESTIONS.map((key) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.text = key;
      button.addEventListener("click", () => onAsk(language.text(key)));
      return button;
    });
    root.querySelector(".questions")?.replaceChildren(...this.buttons);
    language.addEventListener("change", () => this.#render());
    this.#render();
  }

  #render() {
    const name = characterName();
    this.title.textContent = name ? language.text("emptyTitleNamed", { name }) : language.text("emptyTitle");
    for (const button of this.buttons) button.textContent = language.text(/** @type {import("./messages.js").MessageKey} */ (button.dataset.text));
  }
}

/** From the gateway's meta element; empty if it is unknown. */
function characterName() {
  const name = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="character"]'))?.content ?? "";
  return name === "default" ? language.text("defaultName") : name;
}
