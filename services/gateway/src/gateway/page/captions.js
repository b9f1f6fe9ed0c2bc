// @ts-check
/**
 * Captions below the character. They follow the playback position, not the arrival of the text.
 *
 * The reply is cut into lines and words (caption-lines.js), and the line at the position is shown.
 * A chunk with a short text range highlights exactly that range. A chunk with a long one carries the
 * range of its whole fragment, as some TTS providers give no word timings; the words in it are then
 * estimated from the elapsed share of the fragment's audio.
 */

import { captionLines, captionWords } from "./caption-lines.js";

/** A chunk whose text range is longer than this many code points covers a whole fragment. */
const MAX_WORD_POINTS = 12;
/** The last line stays this long after the end of the audio. */
const LINGER_MS = 3_500;

/**
 * @typedef {import("./turn.js").Turn} Turn
 * @typedef {{audio: import("./turn-audio.js").TurnAudio, turn: number} & import("./turn-audio.js").PlaybackPosition} CaptionPosition
 */

export class Captions {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    /** The part of the reply that the captions have shown as spoken. */
    this.spokenText = "";
    this.shownText = "";
    this.reply = "";
    /** @type {string[]} */
    this.points = [];
    /** @type {import("./caption-lines.js").Span[]} */
    this.lines = [];
    /** @type {{element: HTMLElement, start: number, end: number}[]} */
    this.words = [];
    this.lastActiveAt = 0;
  }

  /**
   * Once per animation frame.
   * @param {Turn | undefined} turn the newest one @param {CaptionPosition | null} position @param {number} now ms
   * @param {boolean} audioPending its audio has yet to arrive, even if its text is complete
   */
  draw(turn, position, now, audioPending) {
    const reply = turn?.reply ?? "";
    if (reply !== this.reply) {
      this.reply = reply;
      this.points = [...reply];
      this.lines = captionLines(this.points);
    }
    const current = position && turn && position.turn === turn.turn ? position : null;
    const { from, to } = current ? spokenRange(current, this.points) : this.#rangeWithoutAudio(turn, audioPending);
    this.spokenText = this.points.slice(0, to).join("");
    const ended = turn?.interrupted || (turn?.status !== "running" && !(current ? current.sounding || current.next : audioPending));
    if (!ended) this.lastActiveAt = now;
    this.#show(to, from, ended === true, now - this.lastActiveAt > LINGER_MS);
  }

  /**
   * A reply without audio counts as spoken once it is complete; one with pending audio stays dimmed.
   * @param {Turn | undefined} turn
   * @param {boolean} audioPending
   */
  #rangeWithoutAudio(turn, audioPending) {
    const whole = turn?.status === "failed" || (turn?.status === "done" && !audioPending);
    const to = whole ? this.points.length : 0;
    return { from: to, to };
  }

  /** @param {number} to @param {number} from @param {boolean} ended @param {boolean} expired */
  #show(to, from, ended, expired) {
    const lastSpoken = Math.max(0, to - 1);
    const line = this.lines.find(({ end }) => lastSpoken < end) ?? this.lines.at(-1);
    const text = line && !expired ? this.points.slice(line.start, line.end).join("") : "";
    if (text !== this.shownText) this.#build(text, line);
    for (const { element, start, end } of this.words) {
      const spoken = end <= to || (start < to && ended);
      element.className = spoken ? (end > from && !ended ? "current" : "spoken") : start < to ? "current" : ended ? "unspoken" : "upcoming";
    }
  }

  /** @param {string} text @param {import("./caption-lines.js").Span | undefined} line */
  #build(text, line) {
    // A line that only grew keeps its elements, or their transitions would restart with each delta.
    const grown = this.shownText !== "" && text.startsWith(this.shownText) && this.words[0]?.start === line?.start;
    this.shownText = text;
    const spans = text && line ? captionWords(this.points, line) : [];
    const kept = grown ? Math.max(0, this.words.length - 1) : 0;
    for (const { element } of this.words.splice(kept)) element.remove();
    for (const { start, end } of spans.slice(kept)) {
      const element = document.createElement("span");
      element.className = "upcoming";
      element.textContent = this.points.slice(start, end).join("");
      this.root.append(element);
      this.words.push({ element, start, end });
    }
    this.root.classList.toggle("empty", spans.length === 0);
  }
}

/**
 * The code points that are spoken at the position: the reply has been spoken up to `to`, the current words begin at `from`.
 * @param {CaptionPosition} position @param {string[]} points
 */
function spokenRange(position, points) {
  const { chunk } = position.segment;
  const { textStart, textEnd } = chunk;
  if (textEnd - textStart <= MAX_WORD_POINTS) return { from: textStart, to: Math.min(textEnd, points.length) };
  const sameText = position.audio.segments.filter((each) => each.chunk.textStart === textStart && each.chunk.textEnd === textEnd);
  const first = sameText[0].chunk.offsetMs;
  const last = sameText[sameText.length - 1];
  const share = (position.offsetMs - first) / Math.max(1, last.chunk.offsetMs + last.durationMs - first);
  const to = Math.min(points.length, textStart + Math.ceil(share * (textEnd - textStart)));
  return { from: Math.max(textStart, to - 1), to };
}
