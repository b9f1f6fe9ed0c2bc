// @ts-check
/**
 * `/ws/input`, dialect vtuber.v2: messages up, the events of their turns down.
 *
 * A message is in flight until `done` or `error`. If the socket drops meanwhile it is sent again with the same requestId and the id
 * of the last event seen; the server goes on from there and never asks the model twice.
 */

import { Connection } from "./connection.js";
import { newRequestId, newTraceparent } from "./trace-ids.js";

/**
 * @typedef {{requestId: string, content: string, lang: string, traceparent: string, lastEventId: string | null}} Message
 * @typedef {{requestId: string | null, turn: number, event: "control"|"text-delta"|"error"|"done", data: any}} TurnEvent
 */

const HEARD = new Set(["SPEECH_STARTED", "PARTIAL", "FINAL", "SPEECH_DROPPED"]);

export class Input {
  /**
   * @param {string} sessionId
   * @param {{onEvent: (event: TurnEvent) => void, onRefused: (requestId: string | null, code: string, message: string) => void,
   *          onState: (state: import("./connection.js").ConnectionState) => void,
   *          onHeard: (frame: {type: "SPEECH_STARTED"|"PARTIAL"|"FINAL"|"SPEECH_DROPPED", text?: string, turn?: number}) => void}} handlers
   */
  constructor(sessionId, handlers) {
    this.sessionId = sessionId;
    this.handlers = handlers;
    /** Sample rate of the microphone that is on; 0: none. */
    this.listening = 0;
    /** @type {Map<string, Message>} */
    this.inFlight = new Map();
    this.connection = new Connection(`/ws/input?sessionId=${encodeURIComponent(sessionId)}`, "vtuber.v2", {
      onOpen: () => this.#resume(),
      onText: (frame) => this.#take(frame),
      onState: handlers.onState,
    });
  }

  /** @param {string} content @param {string} lang @returns {string} the requestId */
  say(content, lang) {
    const message = { requestId: newRequestId(), content, lang, traceparent: newTraceparent(), lastEventId: null };
    this.inFlight.set(message.requestId, message);
    // Without a socket it waits for the next one.
    this.#send(message);
    return message.requestId;
  }

  /** Whether an own message is not answered to its end. @param {string | null} requestId */
  awaits(requestId) {
    return requestId !== null && this.inFlight.has(requestId);
  }

  /** The microphone is on; frames of 20 ms follow. @param {number} sampleRate */
  listen(sampleRate) {
    this.listening = sampleRate;
    this.#micStart();
  }

  /** @param {ArrayBuffer} pcm without a socket it is gone: what was said then would come too late */
  audio(pcm) {
    if (this.listening) this.connection.sendBinary(pcm);
  }

  /** The microphone is off. */
  deafen() {
    if (!this.listening) return;
    this.listening = 0;
    this.connection.send({ type: "MIC_STOP" });
  }

  close() {
    this.connection.close();
  }

  #micStart() {
    const frame = { type: "MIC_START", sessionId: this.sessionId, format: "pcm_s16le", sampleRate: this.listening, frameMs: 20 };
    this.connection.send(frame);
  }

  #resume() {
    if (this.listening) this.#micStart();
    for (const message of this.inFlight.values()) this.#send(message);
  }

  /** @param {Message} message */
  #send({ requestId, content, lang, traceparent, lastEventId }) {
    const frame = { type: "TEXT", content, meta: { requestId, lang }, traceparent };
    this.connection.send(lastEventId ? { ...frame, lastEventId } : frame);
  }

  /** @param {any} frame */
  #take(frame) {
    if (frame.type === "ERROR") {
      if (frame.requestId) this.inFlight.delete(frame.requestId);
      this.handlers.onRefused(frame.requestId ?? null, frame.code, frame.message);
    } else if (HEARD.has(frame.type)) {
      this.handlers.onHeard(frame);
    } else if (frame.type === "TURN_EVENT") {
      this.#event(frame);
    }
  }

  /** @param {any} frame */
  #event(frame) {
    const message = this.inFlight.get(frame.requestId);
    if (message && frame.id) {
      // A replay may begin before the place that was asked for.
      if (message.lastEventId && !isAfter(frame.id, message.lastEventId)) return;
      message.lastEventId = frame.id;
    }
    if (frame.event === "done" || frame.event === "error") this.inFlight.delete(frame.requestId);
    const turn = frame.id ? Number.parseInt(frame.id, 10) : (frame.data?.turn ?? 0);
    this.handlers.onEvent({ requestId: frame.requestId ?? null, turn, event: frame.event, data: frame.data ?? {} });
  }
}

/** Ids are `<turn>.<n>`. After a collision of numbers the same message may go on under another turn. @param {string} id @param {string} seen */
function isAfter(id, seen) {
  const [turn, n] = id.split(".").map(Number);
  const [seenTurn, seenN] = seen.split(".").map(Number);
  return turn !== seenTurn || n > seenN;
}
