// @ts-check
/**
 * Maps AudioContext time to `performance.now()`: which sample reaches the loudspeaker when.
 *
 * AudioContext time alone does not include the latency of the device. Every 100 ms this clock reads
 * the pair of times that the browser reports and derives the origin: the `performance.now()` at
 * which context time 0 was audible. A single reading is off by a render quantum (128 frames) or
 * more, so the origin is the median of the last two seconds.
 *
 * While the context is suspended its time stands still. The readings are then dropped, the last
 * origin stays in use, and `onRunning` reports how far the new origin is from it.
 */

const MAX_READINGS = 21;
const READING_INTERVAL_MS = 100;
/** After the context starts, readings are taken at these delays, so that it counts as running soon. */
const STARTUP_READING_DELAYS_MS = [0, 15, 30, 50];
const MIN_READINGS = 3;

export class AudioClock {
  /**
   * @param {AudioContext} context
   * @param {(moved: number) => void} onRunning the device runs (again); context time is `moved`
   *   seconds ahead of where the previous origin put it
   */
  constructor(context, onRunning) {
    this.context = context;
    this.onRunning = onRunning;
    this.running = false;
    /** @type {number[]} `performance.now()` at which context time 0 was audible, ms, per reading */
    this.readings = [];
    this.origin = performance.now();
    setInterval(() => this.#takeReading(), READING_INTERVAL_MS);
  }

  /** Call on each `statechange` of the context. */
  contextStateChanged() {
    if (this.context.state !== "running") this.#reset();
    else for (const delay of STARTUP_READING_DELAYS_MS) setTimeout(() => this.#takeReading(), delay);
  }

  /** Context time, in seconds, that is audible at `local`. @param {number} local ms of `performance.now()` */
  contextTimeAt(local) {
    return (local - this.origin) / 1000;
  }

  /** ms of `performance.now()` at which a context time is audible. @param {number} seconds */
  localTimeAt(seconds) {
    return this.origin + seconds * 1000;
  }

  #takeReading() {
    if (this.context.state !== "running") {
      this.#reset();
      return;
    }
    this.readings.push(this.#measureOrigin());
    if (this.readings.length > MAX_READINGS) this.readings.shift();
    if (this.readings.length < MIN_READINGS) return;
    const previous = this.origin;
    this.origin = [...this.readings].sort((a, b) => a - b)[this.readings.length >> 1];
    if (this.running) return;
    this.running = true;
    this.onRunning((previous - this.origin) / 1000);
  }

  /** Context time stands still while suspended, so readings from before do not hold afterwards. */
  #reset() {
    this.running = false;
    this.readings = [];
  }

  #measureOrigin() {
    const { contextTime, performanceTime } = this.context.getOutputTimestamp?.() ?? {};
    // Browsers return zeros until the device has played its first buffer.
    if (contextTime && performanceTime) return performanceTime - contextTime * 1000;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    return performance.now() - (this.context.currentTime - latency) * 1000;
  }
}
