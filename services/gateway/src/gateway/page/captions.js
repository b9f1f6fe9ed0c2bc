// @ts-check
/** The words under the character. They follow the voice at the ear, not the text on the wire. */

import { captionLines, captionWords } from "./caption-lines.js";

/** A chunk that names more than this many code points names its whole fragment; then time tells where in it the voice is. */
const ONE_BREATH = 12;
/** The last line stays this long after the voice. */
const LINGER_MS = 3_500;

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {{voice: import("./turn-audio.js").Voice, turn: number} & import("./turn-audio.js").Position} Heard
 */

export class Captions {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** The words that were shown as said, from the reply's beginning. */
    this.revealed = "";
    this.shown = "";
    this.reply = "";
    /** @type {string[]} */
    this.points = [];
    /** @type {import("./caption-lines.js").Span[]} */
    this.lines = [];
    /** @type {{element: HTMLElement, start: number, end: number}[]} */
    this.words = [];
    this.quietSince = 0;
  }

  /**
   * Once per animation frame.
   * @param {Turn | undefined} turn the newest @param {Heard | null} heard @param {number} now ms
   * @param {boolean} awaited a voice is still to come for it, also where its text is whole
   */
  draw(turn, heard, now, awaited) {
    const reply = turn?.reply ?? "";
    if (reply !== this.reply) {
      this.reply = reply;
      this.points = [...reply];
      this.lines = captionLines(this.points);
    }
    const mine = heard && turn && heard.turn === turn.turn ? heard : null;
    const { from, to } = mine ? spoken(mine, this.points) : this.#unvoiced(turn, awaited);
    this.revealed = this.points.slice(0, to).join("");
    const quiet = turn?.interrupted || (turn?.status !== "running" && !(mine ? mine.sounding || mine.next : awaited));
    if (!quiet) this.quietSince = now;
    this.#show(to, from, quiet === true, now - this.quietSince > LINGER_MS);
  }

  /** A reply without a voice is read when it is whole; one whose voice is yet to come waits dimmed. @param {Turn | undefined} turn @param {boolean} awaited */
  #unvoiced(turn, awaited) {
    const whole = turn?.status === "failed" || (turn?.status === "done" && !awaited);
    const to = whole ? this.points.length : 0;
    return { from: to, to };
  }

  /** @param {number} to @param {number} from @param {boolean} quiet @param {boolean} gone */
  #show(to, from, quiet, gone) {
    const place = Math.max(0, to - 1);
    const line = this.lines.find(({ end }) => place < end) ?? this.lines.at(-1);
    const text = line && !gone ? this.points.slice(line.start, line.end).join("") : "";
    if (text !== this.shown) this.#build(text, line);
    for (const { element, start, end } of this.words) {
      const said = end <= to || (start < to && quiet);
      element.className = said ? (end > from && !quiet ? "now" : "said") : start < to ? "now" : quiet ? "unsaid" : "ahead";
    }
  }

  /** @param {string} text @param {import("./caption-lines.js").Span | undefined} line */
  #build(text, line) {
    // A line that only grew keeps its words, or their fading would begin anew with each delta.
    const grown = this.shown !== "" && text.startsWith(this.shown) && this.words[0]?.start === line?.start;
    this.shown = text;
    const spans = text && line ? captionWords(this.points, line) : [];
    const kept = grown ? Math.max(0, this.words.length - 1) : 0;
    for (const { element } of this.words.splice(kept)) element.remove();
    for (const { start, end } of spans.slice(kept)) {
      const element = document.createElement("span");
      element.className = "ahead";
      element.textContent = this.points.slice(start, end).join("");
      this.root.append(element);
      this.words.push({ element, start, end });
    }
    this.root.classList.toggle("empty", spans.length === 0);
  }
}

/**
 * Which words sound: `to` is the place up to which the reply has been said, `from` where the words of this moment begin.
 * @param {Heard} heard @param {string[]} points
 */
function spoken(heard, points) {
  const { chunk } = heard.segment;
  const { textStart, textEnd } = chunk;
  if (textEnd - textStart <= ONE_BREATH) return { from: textStart, to: Math.min(textEnd, points.length) };
  const run = heard.voice.segments.filter((each) => each.chunk.textStart === textStart && each.chunk.textEnd === textEnd);
  const first = run[0].chunk.offsetMs;
  const last = run[run.length - 1];
  const share = (heard.offsetMs - first) / Math.max(1, last.chunk.offsetMs + last.durationMs - first);
  const to = Math.min(points.length, textStart + Math.ceil(share * (textEnd - textStart)));
  return { from: Math.max(textStart, to - 1), to };
}
