// @ts-check
/** `/ws/output/{id}`, dialect vtuber.v2.bin: what a viewer hears of the session, and the little it says back. */

import { parseChunk } from "./chunk.js";
import { Connection } from "./connection.js";

/** At the start several questions in a row: one of them will meet a quiet network. */
const FIRST_TIMES_MS = [0, 40, 120, 250, 500, 1000];
const TIME_EVERY_MS = 10_000;

/**
 * @typedef {object} OutputHandlers
 * @property {(frame: any) => void} onFrame CONTROL, TEXT_DELTA, STATE and ERROR, as on the wire
 * @property {(chunk: import("./chunk.js").Chunk) => void} onChunk
 * @property {() => void} onTime the clock has a new sample
 * @property {(state: import("./connection.js").ConnectionState) => void} onState
 */

export class Output {
  /** @param {string} sessionId @param {import("./clock.js").Clock} clock @param {OutputHandlers} handlers */
  constructor(sessionId, clock, handlers) {
    this.sessionId = sessionId;
    this.clock = clock;
    this.handlers = handlers;
    this.connection = new Connection(`/ws/output/${encodeURIComponent(sessionId)}`, "vtuber.v2.bin", {
      onOpen: () => this.#askTimes(),
      onText: (frame) => this.#take(frame),
      onBinary: (data) => {
        const chunk = parseChunk(data);
        if (chunk) handlers.onChunk(chunk);
      },
      onState: handlers.onState,
    });
    this.timer = setInterval(() => this.#askTime(), TIME_EVERY_MS);
  }

  /** @param {number | null} turn null: whatever sounds @returns {boolean} whether somebody took it */
  stop(turn) {
    const frame = { type: "CONTROL", action: "STOP", sessionId: this.sessionId };
    return this.connection.send(turn ? { ...frame, turn } : frame);
  }

  /** @param {number} turn @param {number} offsetMs @param {boolean} speaker this window asked the turn */
  played(turn, offsetMs, speaker) {
    const frame = { type: "PLAYED", sessionId: this.sessionId, turn, offsetMs };
    this.connection.send(speaker ? { ...frame, speaker } : frame);
  }

  close() {
    clearInterval(this.timer);
    this.connection.close();
  }

  #askTimes() {
    this.clock.reset();
    for (const delay of FIRST_TIMES_MS) setTimeout(() => this.#askTime(), delay);
  }

  #askTime() {
    this.connection.send({ type: "TIME", t0: performance.now() });
  }

  /** @param {any} frame */
  #take(frame) {
    if (frame.type === "TIME") {
      this.clock.sample(frame.t0, frame.t1, performance.now());
      this.handlers.onTime();
    } else {
      this.handlers.onFrame(frame);
    }
  }
}
