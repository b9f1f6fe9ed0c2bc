// @ts-check
/**
 * Which sample of the AudioContext reaches the ear at which `performance.now()`.
 *
 * Single readings jitter by a render quantum and more; the median of the last two seconds does not.
 */

const KEPT = 21;
const EVERY_MS = 100;

export class Ear {
  /** @param {AudioContext} context */
  constructor(context) {
    this.context = context;
    /** @type {number[]} ms of `performance.now()` at which context time 0 would have been heard */
    this.readings = [];
    this.origin = performance.now();
    setInterval(() => this.read(), EVERY_MS);
  }

  /** Forget the readings: while the device slept, context time stood still. */
  restart() {
    this.readings = [];
    this.read();
  }

  read() {
    if (this.context.state !== "running") return;
    this.readings.push(this.#reading());
    if (this.readings.length > KEPT) this.readings.shift();
    const sorted = [...this.readings].sort((a, b) => a - b);
    this.origin = sorted[sorted.length >> 1];
  }

  /** Context time, in seconds, that is heard at `local`. @param {number} local ms of `performance.now()` */
  heardAt(local) {
    return (local - this.origin) / 1000;
  }

  /** ms of `performance.now()` at which a context time is heard. @param {number} seconds */
  whenHeard(seconds) {
    return this.origin + seconds * 1000;
  }

  #reading() {
    const { contextTime, performanceTime } = this.context.getOutputTimestamp?.() ?? {};
    // Browsers answer zeros until the device has spoken once.
    if (contextTime && performanceTime) return performanceTime - contextTime * 1000;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    return performance.now() - (this.context.currentTime - latency) * 1000;
  }
}
