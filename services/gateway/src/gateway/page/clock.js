// @ts-check
/**
 * Estimate of output-handler's clock from TIME exchanges. Pure: times come in as arguments.
 *
 * A sample is off by at most half its round trip, so the sample with the shortest one wins. A sample also grows stale:
 * quartz drifts by some 50 µs a second, which is added to its uncertainty, so a fresh ordinary sample replaces an old lucky one.
 */

const KEPT = 16;
const DRIFT_MS_PER_MS = 50e-6;

export class Clock {
  constructor() {
    /** @type {{offset: number, rtt: number, at: number}[]} */
    this.samples = [];
  }

  /** Forget everything: a new connection may end at another replica, whose clock is another one. */
  reset() {
    this.samples = [];
  }

  get ready() {
    return this.samples.length > 0;
  }

  /**
   * @param {number} t0 ms on this page's clock (`performance.now()`) when TIME was sent
   * @param {number} t1 ms on output-handler's clock
   * @param {number} t2 ms on this page's clock when the answer came
   */
  sample(t0, t1, t2) {
    if (!(t2 >= t0) || !Number.isFinite(t1)) return;
    this.samples.push({ offset: t1 - (t0 + t2) / 2, rtt: t2 - t0, at: t2 });
    if (this.samples.length > KEPT) this.samples.shift();
  }

  /** ms to add to this page's clock to get output-handler's. @param {number} now */
  offset(now) {
    let best = 0;
    let least = Infinity;
    for (const { offset, rtt, at } of this.samples) {
      const uncertainty = rtt / 2 + (now - at) * DRIFT_MS_PER_MS;
      if (uncertainty <= least) {
        least = uncertainty;
        best = offset;
      }
    }
    return best;
  }

  /** @param {number} server ms on output-handler's clock @param {number} now */
  toLocal(server, now) {
    return server - this.offset(now);
  }

  /** @param {number} local ms on this page's clock @param {number} now */
  toServer(local, now) {
    return local + this.offset(now);
  }
}
