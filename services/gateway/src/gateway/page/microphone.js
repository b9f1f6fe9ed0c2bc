// @ts-check
/**
 * The microphone: asks for permission, switches it on and off, and delivers its frames.
 *
 * The browser's echo cancellation removes the character's speech from the signal. If a browser has
 * none, frames are dropped while a reply sounds (half-duplex), or the reply would interrupt itself.
 */

/** Hz; sufficient for speech. A browser that cannot resample uses its own rate, see `sampleRate`. */
const SAMPLE_RATE = 16_000;
const CONSTRAINTS = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/** @typedef {"off"|"asking"|"on"|"denied"|"missing"|"insecure"} MicrophoneState */

export class Microphone {
  /**
   * @param {{onFrame: (pcm: ArrayBuffer) => void, onState: (state: MicrophoneState) => void, replySounding: () => boolean}} handlers
   */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {MicrophoneState} */
    this.state = "off";
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {AudioContext | null} */
    this.context = null;
    this.echoCancelled = true;
  }

  /** Sample rate of the frames, Hz; 0 while it is off. */
  get sampleRate() {
    return this.context?.sampleRate ?? 0;
  }

  async on() {
    if (this.state === "on" || this.state === "asking") return;
    // Browsers offer no microphone at all to a page from another machine over plain http.
    if (!isSecureContext || !navigator.mediaDevices) {
      this.#setState(isSecureContext ? "missing" : "insecure");
      return;
    }
    this.#setState("asking");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: CONSTRAINTS });
      this.context = openContext();
      await this.context.audioWorklet.addModule("/page/microphone-frames.js");
    } catch (error) {
      this.#close();
      const name = error instanceof DOMException ? error.name : "";
      this.#setState(name === "NotAllowedError" || name === "SecurityError" ? "denied" : "missing");
      return;
    }
    const [track] = this.stream.getAudioTracks();
    this.echoCancelled = track.getSettings().echoCancellation === true;
    // The device was unplugged, or another program took it.
    track.onended = () => this.off();
    const frames = new AudioWorkletNode(this.context, "microphone-frames", { numberOfOutputs: 0 });
    frames.port.onmessage = ({ data }) => {
      if (this.state === "on" && (this.echoCancelled || !this.handlers.replySounding())) this.handlers.onFrame(data);
    };
    this.context.createMediaStreamSource(this.stream).connect(frames);
    this.#setState("on");
  }

  off() {
    this.#close();
    this.#setState("off");
  }

  #close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.context?.close().catch(() => undefined);
    this.stream = null;
    this.context = null;
  }

  /** @param {MicrophoneState} state */
  #setState(state) {
    // "insecure" is reported at every attempt, because the notice about it disappears.
    if (state === this.state && state !== "insecure") return;
    this.state = state;
    this.handlers.onState(state);
  }
}

function openContext() {
  try {
    return new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}
