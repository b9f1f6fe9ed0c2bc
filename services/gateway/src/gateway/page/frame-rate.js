// @ts-check
/**
 * Lowers the frame rate of the character while the machine is too slow. Pure: time is an argument.
 *
 * Without a GPU a frame takes about 20 ms of a core, and audio and sockets share those cores. They
 * have priority: 20 frames a second are acceptable, a late chunk is an audible gap. Of every 60
 * animation frames the governor counts the missed ones. Too many lower the rate by one level; few
 * raise it again after a delay that doubles each time.
 */

/** Minimum ms between two drawn frames, by level. Level 0 also limits displays of 120 Hz. */
const MIN_INTERVALS_MS = [12, 30, 46];
const WINDOW_FRAMES = 60;
/** A longer interval between animation frames counts as a missed frame. */
const MISSED_MS = 25;
const MAX_MISSED_SHARE = 0.12;
const FIRST_RETRY_MS = 20_000;

export class FrameRateGovernor {
  constructor() {
    this.level = 0;
    this.frames = 0;
    this.missed = 0;
    this.lastFrame = 0;
    this.lastDrawn = -Infinity;
    this.retryDelayMs = FIRST_RETRY_MS;
    this.retryAt = Infinity;
  }

  /** Call once per animation frame. @param {number} now ms @returns {boolean} whether to draw in it */
  shouldDraw(now) {
    this.#measure(now);
    if (now - this.lastDrawn < MIN_INTERVALS_MS[this.level]) return false;
    this.lastDrawn = now;
    return true;
  }

  /** @param {number} now */
  #measure(now) {
    const frameMs = now - this.lastFrame;
    this.lastFrame = now;
    // A hidden tab gets no animation frames; that is not a slow machine.
    if (frameMs > 1000) return;
    this.frames++;
    if (frameMs > MISSED_MS) this.missed++;
    if (this.frames < WINDOW_FRAMES) return;
    const share = this.missed / this.frames;
    this.frames = this.missed = 0;
    if (share > MAX_MISSED_SHARE && this.level < MIN_INTERVALS_MS.length - 1) {
      this.level++;
      this.retryAt = now + this.retryDelayMs;
      this.retryDelayMs *= 2;
    } else if (this.level > 0 && now > this.retryAt && share < MAX_MISSED_SHARE / 4) {
      this.level--;
      this.retryAt = now + this.retryDelayMs;
    }
  }
}
