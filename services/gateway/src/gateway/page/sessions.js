// @ts-check
/** The session of this page, from its URL, so that a link can be shared; and the dialog that selects another one. */

import { Figures } from "./figures.js";
import { language } from "./language.js";

const SESSION_ID = /^[A-Za-z0-9_-]{1,64}$/;
const DEFAULT_SESSION = "live-001";

/** The session of this window; a name that the server would reject is replaced. @returns {string} */
export function currentSession() {
  const url = new URL(location.href);
  const asked = url.searchParams.get("session") ?? "";
  const name = SESSION_ID.test(asked) ? asked : DEFAULT_SESSION;
  if (asked !== name) {
    url.searchParams.set("session", name);
    history.replaceState(null, "", url);
  }
  return name;
}

/**
 * Turns of a session, oldest first.
 * @param {string} name
 * @returns {Promise<{turn: number, user: string, reply: string, ts: number, interrupted: boolean}[]>}
 */
export async function readHistory(name) {
  const { turns } = await readJson(`/sessions/${encodeURIComponent(name)}/turns`);
  return turns ?? [];
}

export class SessionDialog {
  /** @param {HTMLButtonElement} opener @param {HTMLDialogElement} dialog @param {string} current */
  constructor(opener, dialog, current) {
    this.dialog = dialog;
    this.current = current;
    this.opener = opener;
    this.list = /** @type {HTMLElement} */ (dialog.querySelector(".session-list"));
    this.note = /** @type {HTMLElement} */ (dialog.querySelector(".note"));
    this.figures = new Figures(/** @type {HTMLElement} */ (dialog.querySelector(".figures")), current);
    this.field = /** @type {HTMLInputElement} */ (dialog.querySelector("input"));
    const name = /** @type {HTMLElement} */ (opener.querySelector(".name"));
    name.textContent = current;
    opener.addEventListener("click", () => this.#open());
    dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.querySelector("form")?.addEventListener("submit", (event) => {
      event.preventDefault();
      if (SESSION_ID.test(this.field.value)) this.#openSession(this.field.value);
    });
    language.addEventListener("change", () => this.#renderLabel());
    this.#renderLabel();
  }

  #renderLabel() {
    this.opener.setAttribute("aria-label", language.text("sessionOpen", { name: this.current }));
  }

  async #open() {
    this.list.replaceChildren();
    this.note.textContent = "";
    this.dialog.showModal();
    this.figures.load();
    try {
      const { sessions } = await readJson("/sessions");
      this.list.replaceChildren(...sessions.map((/** @type {any} */ session) => this.#listItem(session)));
      this.note.textContent = sessions.length ? "" : language.text("sessionsNone");
    } catch {
      this.note.textContent = language.text("sessionsFailed");
    }
  }

  /** @param {{sessionId: string, lastActive: number}} session */
  #listItem({ sessionId, lastActive }) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const name = document.createElement("span");
    name.textContent = sessionId;
    const when = document.createElement("time");
    when.textContent = relativeTime(lastActive);
    button.append(name, when);
    if (sessionId === this.current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.#openSession(sessionId));
    item.append(button);
    return item;
  }

  /** Loads a new page, so that no state of the old session remains. @param {string} name */
  #openSession(name) {
    if (name === this.current) this.dialog.close();
    else location.assign(`/?session=${encodeURIComponent(name)}`);
  }
}

/** @param {string} path @returns {Promise<any>} */
async function readJson(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** @param {number} seconds Unix */
function relativeTime(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  const format = new Intl.RelativeTimeFormat(language.current, { numeric: "auto", style: "short" });
  if (past < 3600) return format.format(-Math.floor(past / 60), "minute");
  if (past < 86_400) return format.format(-Math.floor(past / 3600), "hour");
  return format.format(-Math.floor(past / 86_400), "day");
}
