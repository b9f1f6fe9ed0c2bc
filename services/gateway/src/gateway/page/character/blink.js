// @ts-check
/** Blinking at random intervals. Pure: time is an argument. */

const CLOSING_S = 0.07;
const SHUT_S = 0.035;
const OPENING_S = 0.13;
const WHOLE_S = CLOSING_S + SHUT_S + OPENING_S;
/** Probability of a double blink. */
const DOUBLE_BLINK_SHARE = 0.16;

export class Blink {
  /** @param {() => number} [random] */
  constructor(random = Math.random) {
    this.random = random;
    this.next = 1.2;
  }

  /** How far the eyes are open, 0..1. @param {number} time s */
  at(time) {
    // After a hidden tab only one blink follows, not all that were missed.
    if (time > this.next + WHOLE_S) this.#plan(time);
    const into = time - this.next;
    if (into < 0) return 1;
    if (into < CLOSING_S) return 1 - smooth(into / CLOSING_S);
    if (into < CLOSING_S + SHUT_S) return 0;
    return smooth((into - CLOSING_S - SHUT_S) / OPENING_S);
  }

  /** Starts a blink now, unless one is running. @param {number} time s */
  now(time) {
    if (this.next > time) this.next = time;
  }

  /** @param {number} time */
  #plan(time) {
    const pause = this.random() < DOUBLE_BLINK_SHARE ? 0.06 : 1.6 - Math.log(1 - this.random() * 0.95) * 1.7;
    this.next = time + pause;
  }
}

/** @param {number} t */
const smooth = (t) => t * t * (3 - 2 * t);
