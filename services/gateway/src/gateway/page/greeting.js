// @ts-check
/** What stands in an empty conversation: her name, and three questions to begin with. */

import { language } from "./language.js";

/** @type {import("./messages.js").TextKey[]} */
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
    language.addEventListener("change", () => this.#write());
    this.#write();
  }

  #write() {
    const name = characterName();
    this.title.textContent = name ? language.text("emptyTitleNamed", { name }) : language.text("emptyTitle");
    for (const button of this.buttons) button.textContent = language.text(/** @type {import("./messages.js").TextKey} */ (button.dataset.text));
  }
}

/** As the service says; empty where nobody knows it. */
function characterName() {
  const said = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="character"]'))?.content ?? "";
  return said === "default" ? language.text("defaultName") : said;
}
