// @ts-check
/**
 * A WebSocket that reconnects. Independent of the messages sent over it.
 *
 * The delay before a reconnect doubles with each failure, up to 8 s, and is partly random. A
 * connection that lasted 4 s resets it, and so does the browser's `online` event.
 */

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 8_000;
/** After a connection of this duration, the next failure starts with the first delay again. */
const STABLE_MS = 4_000;

/** @typedef {"connecting"|"connected"|"reconnecting"|"offline"|"closed"} ConnectionState */

export class Connection {
  /**
   * @param {string} path with query, on this page's origin
   * @param {string} subprotocol
   * @param {{onOpen: () => void, onText: (frame: any) => void, onBinary?: (data: ArrayBuffer) => void,
   *          onState: (state: ConnectionState) => void}} handlers
   */
  constructor(path, subprotocol, handlers) {
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
    this.subprotocol = subprotocol;
    this.handlers = handlers;
    /** @type {ConnectionState} */
    this.state = "connecting";
    this.failures = 0;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.timer = 0;
    this.onOnline = () => this.#retryNow();
    this.onOffline = () => this.state !== "connected" && this.#setState("offline");
    addEventListener("online", this.onOnline);
    addEventListener("offline", this.onOffline);
    this.#open();
  }

  /** @param {object} frame @returns {boolean} false without a connection; the frame is then dropped */
  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  /** @param {ArrayBuffer} data @returns {boolean} as `send` */
  sendBinary(data) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(data);
    return true;
  }

  close() {
    removeEventListener("online", this.onOnline);
    removeEventListener("offline", this.onOffline);
    clearTimeout(this.timer);
    this.#setState("closed");
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }

  #open() {
    const socket = new WebSocket(this.url, this.subprotocol);
    let openedAt = 0;
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onopen = () => {
      openedAt = performance.now();
      this.#setState("connected");
      this.handlers.onOpen();
    };
    socket.onmessage = ({ data }) => {
      // After close() or a reconnect, this socket may still deliver queued frames; they are outdated.
      if (socket !== this.socket) return;
      if (typeof data !== "string") {
        this.handlers.onBinary?.(data);
        return;
      }
      let frame;
      try {
        frame = JSON.parse(data);
      } catch {
        console.warn("a frame that is not JSON was skipped");
        return;
      }
      this.handlers.onText(frame);
    };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      if (openedAt && performance.now() - openedAt > STABLE_MS) this.failures = 0;
      this.#retryLater();
    };
  }

  #retryLater() {
    this.socket = null;
    this.#setState(navigator.onLine ? "reconnecting" : "offline");
    const ceiling = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.failures++);
    // Half of the delay is random, so that the viewers of a session do not reconnect all at once.
    this.timer = window.setTimeout(() => this.#open(), ceiling * (0.5 + Math.random() / 2));
  }

  #retryNow() {
    if (this.state === "connected" || this.state === "closed" || this.socket) return;
    clearTimeout(this.timer);
    this.failures = 0;
    this.#open();
  }

  /** @param {ConnectionState} state */
  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.handlers.onState(state);
  }
}
