// @ts-check
/**
 * Estimates output-handler's clock from TIME exchanges, as NTP does. Pure: times are arguments.
 *
 * A sample is off by at most half its round trip. Its uncertainty also grows with its age, because
 * the two clocks drift apart by about 50 µs a second. The sample with the least uncertainty is used,
 * so a recent sample with an average round trip replaces an old one with a short round trip.
 */

const MAX_SAMPLES = 16;
const DRIFT_MS_PER_MS = 50e-6;

export class Clock {
  constructor() {
    /** @type {{offset: number, rtt: number, at: number}[]} */
    this.samples = [];
  }

  /** Drops all samples: a new connection may reach another replica, whose clock differs. */
  reset() {
    this.samples = [];
  }

  /** There is at least one sample. */
  get ready() {
    return this.samples.length > 0;
  }

  /**
   * @param {number} t0 ms on this page's clock (`performance.now()`) at which TIME was sent
   * @param {number} t1 ms on output-handler's clock
   * @param {number} t2 ms on this page's clock at which the answer arrived
   */
  sample(t0, t1, t2) {
    if (!(t2 >= t0) || !Number.isFinite(t1)) return;
    this.samples.push({ offset: t1 - (t0 + t2) / 2, rtt: t2 - t0, at: t2 });
    if (this.samples.length > MAX_SAMPLES) this.samples.shift();
  }

  /** ms to add to this page's clock to get output-handler's. @param {number} now */
  offset(now) {
    let best = 0;
    let lowest = Infinity;
    for (const { offset, rtt, at } of this.samples) {
      const uncertainty = rtt / 2 + (now - at) * DRIFT_MS_PER_MS;
      if (uncertainty <= lowest) {
        lowest = uncertainty;
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
