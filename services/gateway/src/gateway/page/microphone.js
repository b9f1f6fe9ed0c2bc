// @ts-check
/**
 * The microphone: asks for it, turns it on and off, gives its frames. Knows nothing of what is done with them.
 *
 * The browser takes her own voice out of what it hears. Where it cannot, frames are held back while she speaks: then one talks in turns.
 */

/** What speech needs. Browsers that cannot resample use their own rate, and say which. */
const SAMPLE_RATE = 16_000;
const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

/** @typedef {"off"|"asking"|"on"|"denied"|"missing"|"insecure"} MicrophoneState */

export class Microphone {
  /**
   * @param {{onFrame: (pcm: ArrayBuffer) => void, onState: (state: MicrophoneState) => void, speaking: () => boolean}} handlers
   */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {MicrophoneState} */
    this.state = "off";
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {AudioContext | null} */
    this.context = null;
    this.echoSafe = true;
  }

  /** Of the frames; 0 while it is off. */
  get sampleRate() {
    return this.context?.sampleRate ?? 0;
  }

  async on() {
    if (this.state === "on" || this.state === "asking") return;
    // A page from another machine over plain http has no microphones to ask for, whatever is plugged in.
    if (!isSecureContext || !navigator.mediaDevices) {
      this.#enter(isSecureContext ? "missing" : "insecure");
      return;
    }
    this.#enter("asking");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
      this.context = openContext();
      await this.context.audioWorklet.addModule("/page/microphone-frames.js");
    } catch (error) {
      this.#close();
      const name = error instanceof DOMException ? error.name : "";
      this.#enter(name === "NotAllowedError" || name === "SecurityError" ? "denied" : "missing");
      return;
    }
    const [track] = this.stream.getAudioTracks();
    this.echoSafe = track.getSettings().echoCancellation === true;
    // Pulled out, or taken by another program.
    track.onended = () => this.off();
    const frames = new AudioWorkletNode(this.context, "microphone-frames", { numberOfOutputs: 0 });
    frames.port.onmessage = ({ data }) => {
      if (this.state === "on" && (this.echoSafe || !this.handlers.speaking())) this.handlers.onFrame(data);
    };
    this.context.createMediaStreamSource(this.stream).connect(frames);
    this.#enter("on");
  }

  off() {
    this.#close();
    this.#enter("off");
  }

  #close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.context?.close().catch(() => undefined);
    this.stream = null;
    this.context = null;
  }

  /** @param {MicrophoneState} state */
  #enter(state) {
    // Asked again and refused again is said again.
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
