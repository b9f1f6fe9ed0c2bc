// @ts-check
/**
 * Which sample of the AudioContext reaches the ear at which `performance.now()`.
 *
 * Single readings jitter by a render quantum and more; the median of the last two seconds does not.
 */

const KEPT = 21;
const EVERY_MS = 100;
/** After a sleep the first readings come in quick succession; when there are this many, the device counts as awake. */
const FIRST_MS = [0, 15, 30, 50];
const ENOUGH = 3;

export class Ear {
  /**
   * @param {AudioContext} context
   * @param {(moved: number) => void} onAwake the device runs (again); context time is `moved` seconds from where it was expected
   */
  constructor(context, onAwake) {
    this.context = context;
    this.onAwake = onAwake;
    this.awake = false;
    /** @type {number[]} ms of `performance.now()` at which context time 0 would have been heard */
    this.readings = [];
    this.origin = performance.now();
    setInterval(() => this.#read(), EVERY_MS);
  }

  /** The context began or ceased to run. */
  changed() {
    if (this.context.state !== "running") this.#sleep();
    else for (const delay of FIRST_MS) setTimeout(() => this.#read(), delay);
  }

  /** Context time, in seconds, that is heard at `local`. @param {number} local ms of `performance.now()` */
  heardAt(local) {
    return (local - this.origin) / 1000;
  }

  /** ms of `performance.now()` at which a context time is heard. @param {number} seconds */
  whenHeard(seconds) {
    return this.origin + seconds * 1000;
  }

  #read() {
    if (this.context.state !== "running") {
      this.#sleep();
      return;
    }
    this.readings.push(this.#reading());
    if (this.readings.length > KEPT) this.readings.shift();
    if (this.readings.length < ENOUGH) return;
    const before = this.origin;
    this.origin = [...this.readings].sort((a, b) => a - b)[this.readings.length >> 1];
    if (this.awake) return;
    this.awake = true;
    this.onAwake((before - this.origin) / 1000);
  }

  /** Context time stands still, and old readings say nothing about the time after. */
  #sleep() {
    this.awake = false;
    this.readings = [];
  }

  #reading() {
    const { contextTime, performanceTime } = this.context.getOutputTimestamp?.() ?? {};
    // Browsers answer zeros until the device has spoken once.
    if (contextTime && performanceTime) return performanceTime - contextTime * 1000;
    const latency = this.context.outputLatency || this.context.baseLatency || 0;
    return performance.now() - (this.context.currentTime - latency) * 1000;
  }
}
