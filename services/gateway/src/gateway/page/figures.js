// @ts-check
/** The session's figures in the session dialog: turns, interruptions, and the first audio of each turn as bars. */

import { language } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";
const BARS_MAX = 60;
const WIDTH = 360;
const HEIGHT = 64;

/**
 * @typedef {{turn: number, interrupted: boolean, path: string, first_audio_ms?: number}} TurnFigures
 * @typedef {{turns: number, interrupted: number, legacy: number, first_audio_p50_ms?: number, first_audio_p95_ms?: number, recent: TurnFigures[]}} SessionFigures
 */

export class Figures {
  /** @param {HTMLElement} element @param {string} sessionId */
  constructor(element, sessionId) {
    this.element = element;
    this.sessionId = sessionId;
    this.summary = /** @type {HTMLElement} */ (element.querySelector(".summary"));
    this.chart = /** @type {HTMLElement} */ (element.querySelector(".chart"));
  }

  /** Reads the figures; without any, or without the service, the section stays hidden. */
  async load() {
    this.element.hidden = true;
    try {
      const response = await fetch(`/analytics?session=${encodeURIComponent(this.sessionId)}`, { headers: { accept: "application/json" } });
      if (!response.ok) return;
      const { sessions } = await response.json();
      const figures = /** @type {SessionFigures | undefined} */ (sessions[0]);
      if (figures?.turns) this.#show(figures);
    } catch {
      // The figures are an extra: turns work without them.
    }
  }

  /** @param {SessionFigures} figures */
  #show(figures) {
    const ms = (/** @type {number | undefined} */ value) => (value === undefined ? "–" : `${Math.round(value)} ms`);
    this.summary.textContent = language.text("figuresSummary", {
      turns: String(figures.turns),
      interrupted: String(figures.interrupted),
      median: ms(figures.first_audio_p50_ms),
      p95: ms(figures.first_audio_p95_ms),
    });
    const turns = (figures.recent ?? []).slice(-BARS_MAX);
    const bars = firstAudioBars(turns);
    this.chart.replaceChildren(...(bars ? [bars] : []));
    this.element.hidden = false;
  }
}

/**
 * One bar for each turn, as high as its first audio was late; the bar of an interrupted turn has another colour.
 * @param {TurnFigures[]} turns
 * @returns {SVGElement | null}
 */
function firstAudioBars(turns) {
  const highest = Math.max(0, ...turns.map((turn) => turn.first_audio_ms ?? 0));
  if (!highest) return null;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", language.text("figuresChart", { count: String(turns.length), highest: String(Math.round(highest)) }));
  const step = WIDTH / Math.max(turns.length, 12);
  turns.forEach((turn, place) => {
    const height = Math.max(2, ((turn.first_audio_ms ?? 0) / highest) * (HEIGHT - 4));
    const bar = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: place * step, y: HEIGHT - height, width: step * 0.72, height, rx: Math.min(2, step / 4) })) bar.setAttribute(name, value.toFixed(1));
    bar.setAttribute("class", turn.interrupted ? "interrupted" : turn.path === "legacy" ? "legacy" : "completed");
    const label = document.createElementNS(SVG, "title");
    label.textContent = `#${turn.turn}: ${turn.first_audio_ms === undefined ? "–" : `${Math.round(turn.first_audio_ms)} ms`}`;
    bar.append(label);
    svg.append(bar);
  });
  return svg;
}
