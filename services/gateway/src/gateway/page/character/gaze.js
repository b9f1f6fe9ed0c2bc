// @ts-check
/** Gaze direction: to the text field while the user types, to a pointer that moves, else to the viewer; with small saccades. */

/** A pointer that has not moved for this time is ignored. */
const POINTER_TIMEOUT_S = 3.5;

export class Gaze {
  /** @param {Element} frame the element that holds the character */
  constructor(frame) {
    this.frame = frame;
    this.pointer = { x: 0, y: 0, at: -Infinity };
    this.jump = { x: 0, y: 0, until: 0 };
    addEventListener("pointermove", (event) => (this.pointer = { x: event.clientX, y: event.clientY, at: event.timeStamp / 1000 }), { passive: true });
  }

  /**
   * @param {number} time s, of performance.now()
   * @param {boolean} userTyping
   * @returns {{x: number, y: number}} -1..1
   */
  at(time, userTyping) {
    if (time > this.jump.until) {
      const far = Math.random() < 0.22 ? 0.34 : 0.1;
      this.jump = { x: (Math.random() - 0.5) * 2 * far, y: (Math.random() - 0.5) * far, until: time + 0.7 + Math.random() * 2.4 };
    }
    const target = this.#target(time, userTyping);
    const x = target.x + this.jump.x * (target.strong ? 0.35 : 1);
    const y = target.y + this.jump.y * (target.strong ? 0.35 : 1);
    return { x: Math.max(-1, Math.min(1, x)), y: Math.max(-1, Math.min(1, y)) };
  }

  /** @param {number} time @param {boolean} userTyping */
  #target(time, userTyping) {
    const field = userTyping ? document.activeElement : null;
    if (field) {
      const { left, top, width, height } = field.getBoundingClientRect();
      return { ...this.#towards(left + width / 2, top + height / 2), strong: true };
    }
    if (time - this.pointer.at < POINTER_TIMEOUT_S) return { ...this.#towards(this.pointer.x, this.pointer.y), strong: true };
    return { x: 0, y: 0, strong: false };
  }

  /** Saturates, so that a distant pointer does not turn the eyes too far. @param {number} x @param {number} y px */
  #towards(x, y) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    const reach = Math.max(width, height) * 0.6;
    return { x: Math.tanh((x - left - width / 2) / reach) * 0.85, y: Math.tanh((y - top - height * 0.42) / reach) * 0.8 };
  }
}
