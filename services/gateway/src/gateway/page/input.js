// @ts-check
/**
 * Client of `/ws/input`, subprotocol vtuber.v2: sends messages and microphone audio, receives the
 * events of their turns.
 *
 * A message is in flight until `done` or `error`. After a reconnect it is sent again with the same
 * requestId and the id of the last event received. The server continues after that event and does
 * not call the model twice.
 */

import { Connection } from "./connection.js";
import { newRequestId, newTraceparent } from "./trace-ids.js";

/**
 * @typedef {{requestId: string, content: string, lang: string, traceparent: string, lastEventId: string | null}} Message
 * @typedef {{requestId: string | null, turn: number, event: "control"|"text-delta"|"error"|"done", data: any}} TurnEvent
 */

const SPEECH_FRAMES = new Set(["SPEECH_STARTED", "PARTIAL", "FINAL", "SPEECH_DROPPED"]);

export class Input {
  /**
   * @param {string} sessionId
   * @param {{onEvent: (event: TurnEvent) => void, onError: (requestId: string | null, code: string, message: string) => void,
   *          onState: (state: import("./connection.js").ConnectionState) => void,
   *          onSpeech: (frame: {type: "SPEECH_STARTED"|"PARTIAL"|"FINAL"|"SPEECH_DROPPED", text?: string, turn?: number}) => void}} handlers
   */
  constructor(sessionId, handlers) {
    this.sessionId = sessionId;
    this.handlers = handlers;
    /** Sample rate of the active microphone, Hz; 0: it is off. */
    this.microphoneRate = 0;
    /** @type {Map<string, Message>} */
    this.inFlight = new Map();
    this.connection = new Connection(`/ws/input?sessionId=${encodeURIComponent(sessionId)}`, "vtuber.v2", {
      onOpen: () => this.#resume(),
      onText: (frame) => this.#handleFrame(frame),
      onState: handlers.onState,
    });
  }

  /** @param {string} content @param {string} lang @returns {string} the requestId */
  sendText(content, lang) {
    const message = { requestId: newRequestId(), content, lang, traceparent: newTraceparent(), lastEventId: null };
    this.inFlight.set(message.requestId, message);
    // Without a connection it is sent after the next one opens.
    this.#sendMessage(message);
    return message.requestId;
  }

  /** Whether an own message has not been answered completely. @param {string | null} requestId */
  isPending(requestId) {
    return requestId !== null && this.inFlight.has(requestId);
  }

  /** The microphone is on; frames of 20 ms follow. @param {number} sampleRate */
  startMicrophone(sampleRate) {
    this.microphoneRate = sampleRate;
    this.#sendMicStart();
  }

  /** @param {ArrayBuffer} pcm dropped without a connection: old speech would arrive too late */
  sendAudio(pcm) {
    if (this.microphoneRate) this.connection.sendBinary(pcm);
  }

  /** The microphone is off. */
  stopMicrophone() {
    if (!this.microphoneRate) return;
    this.microphoneRate = 0;
    this.connection.send({ type: "MIC_STOP" });
  }

  close() {
    this.connection.close();
  }

  #sendMicStart() {
    const frame = { type: "MIC_START", sessionId: this.sessionId, format: "pcm_s16le", sampleRate: this.microphoneRate, frameMs: 20 };
    this.connection.send(frame);
  }

  #resume() {
    if (this.microphoneRate) this.#sendMicStart();
    for (const message of this.inFlight.values()) this.#sendMessage(message);
  }

  /** @param {Message} message */
  #sendMessage({ requestId, content, lang, traceparent, lastEventId }) {
    const frame = { type: "TEXT", content, meta: { requestId, lang }, traceparent };
    this.connection.send(lastEventId ? { ...frame, lastEventId } : frame);
  }

  /** @param {any} frame */
  #handleFrame(frame) {
    if (frame.type === "ERROR") {
      if (frame.requestId) this.inFlight.delete(frame.requestId);
      this.handlers.onError(frame.requestId ?? null, frame.code, frame.message);
    } else if (SPEECH_FRAMES.has(frame.type)) {
      this.handlers.onSpeech(frame);
    } else if (frame.type === "TURN_EVENT") {
      this.#handleTurnEvent(frame);
    }
  }

  /** @param {any} frame */
  #handleTurnEvent(frame) {
    const message = this.inFlight.get(frame.requestId);
    if (message && frame.id) {
      // A replay may start before the requested event.
      if (message.lastEventId && !isAfter(frame.id, message.lastEventId)) return;
      message.lastEventId = frame.id;
    }
    if (frame.event === "done" || frame.event === "error") this.inFlight.delete(frame.requestId);
    const turn = frame.id ? Number.parseInt(frame.id, 10) : (frame.data?.turn ?? 0);
    this.handlers.onEvent({ requestId: frame.requestId ?? null, turn, event: frame.event, data: frame.data ?? {} });
  }
}

/**
 * Ids are `<turn>.<n>`. After a collision of turn numbers the message may continue under another turn.
 * @param {string} id
 * @param {string} seen
 */
function isAfter(id, seen) {
  const [turn, n] = id.split(".").map(Number);
  const [seenTurn, seenN] = seen.split(".").map(Number);
  return turn !== seenTurn || n > seenN;
}
