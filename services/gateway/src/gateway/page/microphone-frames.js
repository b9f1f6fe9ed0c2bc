// @ts-check
/** AudioWorklet, runs in the audio thread: converts the microphone's signal to PCM16 frames of 20 ms. */

const FRAME_MS = 20;

class MicrophoneFrames extends AudioWorkletProcessor {
  constructor() {
    super();
    this.frame = new Int16Array(Math.round((sampleRate * FRAME_MS) / 1000));
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    // The input may be missing for a moment, while the device changes; returning true keeps the node alive.
    for (const sample of inputs[0]?.[0] ?? []) {
      this.frame[this.filled++] = Math.max(-1, Math.min(1, sample)) * 0x7fff;
      if (this.filled < this.frame.length) continue;
      const whole = this.frame.slice();
      this.port.postMessage(whole.buffer, [whole.buffer]);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("microphone-frames", MicrophoneFrames);
