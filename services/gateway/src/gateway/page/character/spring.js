// @ts-check
/** A damped spring: a value that follows its target with inertia. Pure. */

const STEP_S = 1 / 120;

export class Spring {
  /** @param {number} hertz natural frequency @param {number} damping ratio; 1: critical, less: overshoots */
  constructor(hertz, damping, value = 0) {
    this.omega = 2 * Math.PI * hertz;
    this.damping = damping;
    this.value = value;
    this.speed = 0;
  }

  /** @param {number} target @param {number} seconds */
  follow(target, seconds) {
    // Small steps keep a stiff spring stable after a long frame.
    for (let left = seconds; left > 0; left -= STEP_S) {
      const dt = Math.min(STEP_S, left);
      const pull = this.omega * this.omega * (target - this.value) - 2 * this.damping * this.omega * this.speed;
      this.speed += pull * dt;
      this.value += this.speed * dt;
    }
    return this.value;
  }
}
