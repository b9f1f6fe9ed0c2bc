// @ts-check
/** Renders the list of turns (turn.js). Stays scrolled to the end unless the user scrolled away. */

import { language } from "./language.js";

/** A scroll position this near to the end counts as the end, px. */
const END_MARGIN_PX = 80;

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {{item: HTMLElement, user: HTMLElement, who: HTMLElement, reply: HTMLElement, meta: HTMLElement, turn: Turn}} Row
 */

export class Conversation {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} empty shown while there are no turns
   * @param {HTMLButtonElement} latest
   * @param {{latency: (turn: number) => import("./latency.js").Latency | undefined, onRetry: (text: string) => void}} sources
   */
  constructor(list, empty, latest, sources) {
    this.list = list;
    this.empty = empty;
    this.latest = latest;
    this.sources = sources;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.followsEnd = true;
    const scroller = this.#scroller;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#followEnd()).observe(scroller);
    latest.addEventListener("click", () => this.scrollToEnd());
    language.addEventListener("change", () => this.rows.forEach((row) => this.#render(row)));
  }

  /** @param {Turn} turn */
  show(turn) {
    let row = this.rows.get(turn.key);
    if (!row) this.rows.set(turn.key, (row = build(turn)));
    this.#place(row);
    this.#render(row);
    this.empty.hidden = true;
    this.#followEnd();
  }

  /** @param {Turn} turn */
  remove(turn) {
    this.rows.get(turn.key)?.item.remove();
    this.rows.delete(turn.key);
  }

  scrollToEnd() {
    this.followsEnd = true;
    this.#followEnd();
  }

  get #scroller() {
    return /** @type {HTMLElement} */ (this.list.parentElement);
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.followsEnd = scrollHeight - scrollTop - clientHeight < END_MARGIN_PX;
    this.latest.hidden = this.followsEnd;
  }

  #followEnd() {
    if (this.followsEnd) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.latest.hidden = this.followsEnd;
  }

  /** Sorts the row in by the order of its turn; usually it is at the end already. @param {Row} row */
  #place(row) {
    /** @type {Row | null} */
    let next = null;
    for (const other of this.rows.values()) {
      if (other === row || !other.item.isConnected || other.turn.order <= row.turn.order) continue;
      if (!next || other.turn.order < next.turn.order) next = other;
    }
    const before = next?.item ?? null;
    if (!row.item.isConnected || row.item.nextElementSibling !== before) this.list.insertBefore(row.item, before);
  }

  /** @param {Row} row */
  #render(row) {
    const { turn } = row;
    row.user.parentElement?.toggleAttribute("hidden", !turn.user);
    row.user.textContent = turn.user;
    row.item.classList.toggle("other", !turn.mine);
    row.who.textContent = language.text(turn.mine ? "you" : "otherViewer");
    const waiting = !turn.reply && (turn.status === "pending" || turn.status === "running");
    row.item.classList.toggle("waiting", waiting);
    row.item.classList.toggle("running", turn.status === "running" && !!turn.reply);
    row.reply.replaceChildren(...replyNodes(turn));
    row.reply.parentElement?.toggleAttribute("hidden", !turn.reply && !waiting);
    row.meta.replaceChildren(...this.#meta(turn));
  }

  /** @param {Turn} turn */
  #meta(turn) {
    const parts = [];
    if (turn.interrupted) parts.push(tag("span", "interrupted", language.text("interrupted")));
    if (turn.fallback) {
      const note = tag("span", "fallback", language.text("fallback"));
      note.title = language.reason(turn.reason);
      if (turn.reason) note.textContent += ` · ${note.title}`;
      parts.push(note);
    }
    if (turn.instead) parts.push(tag("span", "instead", language.text("instead", turn.instead)));
    if (turn.status === "failed") {
      parts.push(tag("span", "failed", language.error(turn.error ?? "error")));
      if (turn.requestId) {
        const retry = tag("button", "retry", language.text("retry"));
        retry.addEventListener("click", () => this.sources.onRetry(turn.user));
        parts.push(retry);
      }
    }
    const { textMs, audioMs, stopMs } = this.sources.latency(turn.turn) ?? {};
    const times = [
      ...(textMs === undefined ? [] : [language.text("timeText", { ms: language.duration(textMs) })]),
      ...(audioMs === undefined ? [] : [language.text("timeAudio", { ms: language.duration(audioMs) })]),
      ...(stopMs === undefined ? [] : [language.text("timeStop", { ms: language.duration(stopMs) })]),
    ];
    if (times.length) {
      const line = tag("span", "times", times.join(" · "));
      line.title = language.text("timesHint");
      parts.push(line);
    }
    return parts;
  }
}

/** @param {Turn} turn @returns {Row} */
function build(turn) {
  const item = tag("li", "turn");
  const asked = tag("div", "bubble user");
  const who = tag("span", "who sr-only");
  const user = tag("p", "words");
  asked.append(who, user);
  const answered = tag("div", "bubble reply");
  const reply = tag("p", "words");
  const dots = tag("span", "dots");
  dots.setAttribute("aria-hidden", "true");
  dots.append(tag("i", ""), tag("i", ""), tag("i", ""));
  answered.append(reply, dots);
  const meta = tag("div", "meta");
  item.append(asked, answered, meta);
  return { item, user, who, reply, meta, turn };
}

/** The part of an interrupted reply that was not played stays readable, but is dimmed. @param {Turn} turn */
function replyNodes(turn) {
  const { reply, playedText } = turn;
  const cut = turn.interrupted && playedText !== null && reply.startsWith(playedText) && playedText.length < reply.length;
  if (!cut) return [document.createTextNode(reply)];
  return [document.createTextNode(playedText), tag("span", "unplayed", reply.slice(playedText.length))];
}

/** @param {string} name @param {string} className @param {string} [text] */
function tag(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}
