// @ts-check
/**
 * How often she is drawn: with every frame where the machine keeps up, less where it does not. Pure: time comes in.
 *
 * Without a GPU a frame costs some 20 ms of a core. Sound and sockets live on the same cores and go first: a face at 20 frames a second
 * still speaks, a chunk that came too late does not.
 */

/** Least ms between two drawings, by level. The first one also tames displays of 120 Hz. */
const LEVELS_MS = [12, 30, 46];
const WINDOW = 60;
/** A frame longer than this was missed. */
const MISSED_MS = 25;
const TOO_MANY = 0.12;
const FIRST_RETRY_MS = 20_000;

export class Pace {
  constructor() {
    this.level = 0;
    this.frames = 0;
    this.missed = 0;
    this.lastFrame = 0;
    this.lastDrawn = -Infinity;
    this.retry = FIRST_RETRY_MS;
    this.retryAt = Infinity;
  }

  /** Whether to draw in this animation frame. @param {number} now ms */
  due(now) {
    this.#judge(now);
    if (now - this.lastDrawn < LEVELS_MS[this.level]) return false;
    this.lastDrawn = now;
    return true;
  }

  /** @param {number} now */
  #judge(now) {
    const took = now - this.lastFrame;
    this.lastFrame = now;
    // A hidden tab gets no frames at all, which says nothing about the machine.
    if (took > 1000) return;
    this.frames++;
    if (took > MISSED_MS) this.missed++;
    if (this.frames < WINDOW) return;
    const share = this.missed / this.frames;
    this.frames = this.missed = 0;
    if (share > TOO_MANY && this.level < LEVELS_MS.length - 1) {
      this.level++;
      this.retryAt = now + this.retry;
      this.retry *= 2;
    } else if (this.level > 0 && now > this.retryAt && share < TOO_MANY / 4) {
      this.level--;
      this.retryAt = now + this.retry;
    }
  }
}
