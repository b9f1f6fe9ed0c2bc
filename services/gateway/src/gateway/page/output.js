// @ts-check
/**
 * Client of `/ws/output/{id}`, subprotocol vtuber.v2.bin: receives the frames and audio chunks of a
 * session, sends STOP and the playback position, and samples the server's clock with TIME exchanges.
 */

import { parseChunk } from "./chunk.js";
import { Connection } from "./connection.js";

/** Several TIME exchanges after each connect: at least one should have a short round trip. */
const FIRST_TIME_DELAYS_MS = [0, 40, 120, 250, 500, 1000];
const TIME_INTERVAL_MS = 10_000;

/**
 * @typedef {object} OutputHandlers
 * @property {(frame: any) => void} onFrame CONTROL, TEXT_DELTA, STATE and ERROR, as on the wire
 * @property {(chunk: import("./chunk.js").Chunk) => void} onChunk
 * @property {() => void} onClockSample the clock has a new sample
 * @property {(state: import("./connection.js").ConnectionState) => void} onState
 */

export class Output {
  /** @param {string} sessionId @param {import("./clock.js").Clock} clock @param {OutputHandlers} handlers */
  constructor(sessionId, clock, handlers) {
    this.sessionId = sessionId;
    this.clock = clock;
    this.handlers = handlers;
    this.connection = new Connection(`/ws/output/${encodeURIComponent(sessionId)}`, "vtuber.v2.bin", {
      onOpen: () => this.#startTimeExchange(),
      onText: (frame) => this.#handleFrame(frame),
      onBinary: (data) => {
        const chunk = parseChunk(data);
        if (chunk) handlers.onChunk(chunk);
      },
      onState: handlers.onState,
    });
    this.timer = setInterval(() => this.#sendTime(), TIME_INTERVAL_MS);
  }

  /** @param {number | null} turn null: the one that is active @returns {boolean} false without a connection */
  stop(turn) {
    const frame = { type: "CONTROL", action: "STOP", sessionId: this.sessionId };
    return this.connection.send(turn ? { ...frame, turn } : frame);
  }

  /**
   * @param {number} turn
   * @param {number} offsetMs
   * @param {boolean} speaker the turn answers a message of this window
   */
  reportPlayed(turn, offsetMs, speaker) {
    const frame = { type: "PLAYED", sessionId: this.sessionId, turn, offsetMs };
    this.connection.send(speaker ? { ...frame, speaker } : frame);
  }

  close() {
    clearInterval(this.timer);
    this.connection.close();
  }

  #startTimeExchange() {
    this.clock.reset();
    for (const delay of FIRST_TIME_DELAYS_MS) setTimeout(() => this.#sendTime(), delay);
  }

  #sendTime() {
    this.connection.send({ type: "TIME", t0: performance.now() });
  }

  /** @param {any} frame */
  #handleFrame(frame) {
    if (frame.type === "TIME") {
      this.clock.sample(frame.t0, frame.t1, performance.now());
      this.handlers.onClockSample();
    } else {
      this.handlers.onFrame(frame);
    }
  }
}
