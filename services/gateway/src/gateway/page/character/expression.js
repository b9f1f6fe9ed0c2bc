// @ts-check
/** The pose of face and head for each phase. Pure. */

/**
 * @typedef {object} Pose
 * @property {number} tilt degrees, clockwise
 * @property {number} yaw -1..1, to the right
 * @property {number} pitch -1..1, down
 * @property {number} lift units, negative is up
 * @property {number} eyeOpen
 * @property {number} eyeSmile
 * @property {number} pupil
 * @property {number} browUp
 * @property {number} browTilt
 * @property {number} browSkew
 * @property {number} smile
 * @property {number} pout
 * @property {number} gape opening of the mouth independent of audio
 * @property {number} blush
 * @property {number} gazeX gaze of the pose, -1..1
 * @property {number} gazeY
 * @property {number} absent 0: looks at the viewer; 1: looks in the direction of gazeX, gazeY
 */

/** @type {Pose} */
const CALM = {
  ...{ tilt: 1.5, yaw: 0, pitch: 0, lift: 0, eyeOpen: 1, eyeSmile: 0.45, pupil: 1, browUp: 0, browTilt: 0.15, browSkew: 0 },
  ...{ smile: 1, pout: 0, gape: 0, blush: 0.62, gazeX: 0, gazeY: 0, absent: 0 },
};

/** @type {Readonly<Record<string, Pose>>} */
const POSES = Object.freeze({
  IDLE: CALM,
  LISTENING: { ...CALM, tilt: 6.5, pitch: 0.12, eyeOpen: 1.07, eyeSmile: 0.2, browUp: 0.5, smile: 0.75, absent: 0 },
  THINKING: {
    ...CALM,
    ...{ tilt: -5.5, yaw: 0.32, pitch: -0.3, eyeOpen: 0.92, eyeSmile: 0, browUp: 0.25, browTilt: 0.2, browSkew: 0.85 },
    ...{ smile: 0.1, pout: 0.5, blush: 0.5, gazeX: 0.75, gazeY: -0.85, absent: 0.95 },
  },
  SPEAKING: { ...CALM, tilt: 0, eyeSmile: 0.35, browUp: 0.25, smile: 0.85, blush: 0.72 },
  INTERRUPTED: { ...CALM, tilt: 5, eyeOpen: 1.05, eyeSmile: 0.1, browUp: 0.55, browTilt: 0.75, smile: 0.45, blush: 0.8 },
});

/** @type {Partial<Pose>} */
const STARTLED = { tilt: -1, lift: -11, pitch: -0.25, eyeOpen: 1.24, pupil: 0.72, browUp: 1.5, browTilt: 0.5, smile: 0, pout: 0.75, gape: 0.34, blush: 0.9 };
/** Duration of the startled pose at an interruption; the attentive one follows. */
const STARTLED_S = 0.65;

/** @param {string} phase @param {number} since s in this phase @returns {Pose} */
export function poseOf(phase, since) {
  const pose = POSES[phase] ?? CALM;
  return phase === "INTERRUPTED" && since < STARTLED_S ? { ...pose, ...STARTLED } : pose;
}

export const REST = CALM;
