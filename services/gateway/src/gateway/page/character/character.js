// @ts-check
/**
 * The character: assembles the parts of the drawing and moves them once per animation frame.
 *
 * The phase selects a pose (expression.js). Each value of the pose follows its target with a spring,
 * so changes are never abrupt. Slow sine waves add breathing and drift, unless the user prefers
 * reduced motion.
 */

import { Blink } from "./blink.js";
import { poseOf, REST } from "./expression.js";
import { Eyes, EYE_PAINTS } from "./eyes.js";
import { Face, FACE_PAINTS } from "./face.js";
import { Gaze } from "./gaze.js";
import { Hair, HAIR_PAINTS } from "./hair.js";
import { Headset, HEADSET_PAINTS } from "./headset.js";
import { Lips, LIP_PAINTS } from "./lips.js";
import { Outfit, OUTFIT_PAINTS } from "./outfit.js";
import { draw, group, n } from "./paint.js";
import { Spring } from "./spring.js";
import { ThinkingBubbles } from "./thinking-bubbles.js";

/** Centre of rotation of the head, on the neck. */
const PIVOT = "300 420";
/** On a low stage the view is closer: the face matters more than the jacket. */
const CLOSE_VIEW_BOX = "60 2 480 522";
const FULL_VIEW_BOX = "30 6 540 640";
const LOW_STAGE_PX = 430;

const RING = { SPEAKING: "#ff9fb0", THINKING: "#ffd76e", INTERRUPTED: "#ff7f97" };

/**
 * @typedef {{phase: string, mouth: import("../lip-sync.js").MouthShape, loudness: number, userTyping: boolean}} FrameState `loudness`: RMS, 0..1
 */

export class Character {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.hair = new Hair();
    this.face = new Face();
    this.eyes = new Eyes();
    this.lips = new Lips();
    this.headset = new Headset();
    this.outfit = new Outfit();
    this.thinkingBubbles = new ThinkingBubbles();
    this.blink = new Blink();
    this.gaze = new Gaze(root);
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");

    const { hair, face, eyes, lips, headset } = this;
    this.features = group([face.features, lips.element, eyes.element]);
    this.top = group([hair.top, headset.clip, eyes.brows]);
    this.behind = group([hair.back]);
    this.head = group([face.skin, hair.shade, this.features, hair.side, this.top, headset.band, headset.cups]);
    this.body = group([face.neck, this.outfit.element]);
    const paints = [...HAIR_PAINTS, ...EYE_PAINTS, ...LIP_PAINTS, ...FACE_PAINTS, ...HEADSET_PAINTS, ...OUTFIT_PAINTS];
    const defs = draw("defs", {}, [...paints.map(copy), lips.clip, ...eyes.clips]);
    this.svg = draw("svg", { preserveAspectRatio: "xMidYMax meet" }, [defs, this.behind, this.body, this.head, this.thinkingBubbles.element]);
    root.append(this.svg);
    new ResizeObserver(([entry]) => this.svg.setAttribute("viewBox", entry.contentRect.height < LOW_STAGE_PX ? CLOSE_VIEW_BOX : FULL_VIEW_BOX)).observe(root);

    /** @type {Record<string, Spring>} one per value of a pose */
    this.springs = Object.fromEntries(Object.entries(REST).map(([key, value]) => [key, new Spring(...weight(key), value)]));
    this.gazeSprings = { x: new Spring(6, 0.9), y: new Spring(6, 0.9) };
    this.loudness = new Spring(3, 0.7);
    this.phase = "";
    this.phaseStart = 0;
  }

  /** @param {number} now ms @param {number} elapsed ms since the last frame @param {FrameState} frame */
  draw(now, elapsed, frame) {
    const time = now / 1000;
    const seconds = elapsed / 1000;
    const phase = frame.userTyping && frame.phase === "IDLE" ? "LISTENING" : frame.phase;
    if (phase !== this.phase) {
      if (phase !== "IDLE") this.blink.now(phase === "INTERRUPTED" ? time + STARTLE_S : time);
      this.phase = phase;
      this.phaseStart = time;
    }
    const pose = this.#followPose(poseOf(phase, time - this.phaseStart), seconds);
    const lively = this.calm.matches ? 0 : 1;
    const loudness = this.loudness.follow(Math.min(1, frame.loudness * 5), seconds);
    const gaze = this.gaze.at(time, frame.userTyping);
    const x = this.gazeSprings.x.follow(gaze.x * (1 - pose.absent) + pose.gazeX * pose.absent, seconds);
    const y = this.gazeSprings.y.follow(gaze.y * (1 - pose.absent) + pose.gazeY * pose.absent, seconds);

    const drift = lively * (Math.sin(time * 0.61) + 0.6 * Math.sin(time * 1.03 + 1.3));
    const breath = lively * Math.sin(time * 1.65);
    const tilt = pose.tilt + drift * 1.3 + lively * loudness * Math.sin(time * 4.1) * 1.4 + x * 1.6;
    const yaw = pose.yaw + x * 0.5 + lively * Math.sin(time * 0.47 + 2) * 0.12;
    const pitch = pose.pitch + y * 0.45 + lively * loudness * 0.22;
    this.#place(tilt, yaw, pitch, pose.lift, breath, drift);
    this.hair.move(tilt, yaw, pose.lift - breath * 1.5 + pitch * 4, time, lively, seconds);

    const lids = this.blink.at(time);
    const open = pose.eyeOpen * lids;
    const { eyeSmile: smile, pupil, browUp, browTilt, browSkew } = pose;
    this.eyes.show({ open, smile, pupil, x, y, browUp: browUp + loudness * 0.5, browTilt, browSkew });
    const mouth = pose.gape > frame.mouth.open ? { ...frame.mouth, open: pose.gape } : frame.mouth;
    this.lips.show(mouth, pose.smile, Math.max(0, pose.pout));
    this.face.blush(pose.blush);
    this.thinkingBubbles.show(phase === "THINKING", time, seconds, lively);
    const pulse = phase === "LISTENING" || phase === "THINKING" ? 0.3 + lively * 0.25 * Math.sin(time * 4) : 0.12;
    this.headset.shine(phase === "SPEAKING" ? 0.2 + loudness * 0.8 : pulse, RING[/** @type {keyof typeof RING} */ (phase)] ?? "#7fe3d2");
  }

  /**
   * @param {import("./expression.js").Pose} target
   * @param {number} seconds
   * @returns {import("./expression.js").Pose}
   */
  #followPose(target, seconds) {
    const entries = Object.entries(target).map(([key, value]) => [key, this.springs[key].follow(value, seconds)]);
    return Object.fromEntries(entries);
  }

  /**
   * Parallax: when the head turns, nearer layers move farther than distant ones.
   * @param {number} tilt @param {number} yaw @param {number} pitch @param {number} lift @param {number} breath @param {number} drift
   */
  #place(tilt, yaw, pitch, lift, breath, drift) {
    const head = `translate(${n(drift * 1.6 + yaw * 4)} ${n(lift - breath * 1.6 + pitch * 3)}) rotate(${tilt.toFixed(2)} ${PIVOT})`;
    this.head.setAttribute("transform", head);
    this.behind.setAttribute("transform", `${head} ${shift(yaw * -7, pitch * -4)}`);
    this.features.setAttribute("transform", shift(yaw * 10, pitch * 8));
    this.top.setAttribute("transform", shift(yaw * 5, pitch * 4));
    this.hair.side.setAttribute("transform", shift(yaw * 2, 0));
    this.headset.band.setAttribute("transform", shift(yaw * -2, pitch * 2));
    this.headset.cups.setAttribute("transform", shift(yaw * -5, pitch * -2));
    this.body.setAttribute("transform", `${shift(drift * 0.8, lift * 0.35 - breath * 1.1)} rotate(${(drift * 0.25).toFixed(2)} 300 700)`);
  }
}

/** On an interruption the eyes open wide first; the blink follows after this time. */
const STARTLE_S = 0.5;

/** The paints are shared constants, and an element can have only one parent. @param {SVGElement} paint */
const copy = (paint) => /** @type {SVGElement} */ (paint.cloneNode(true));

/** @param {number} x @param {number} y */
const shift = (x, y) => `translate(${n(x)} ${n(y)})`;

/**
 * Frequency and damping of a pose value: the head moves more slowly than the brows.
 * @param {string} key
 * @returns {[number, number]} Hz, damping
 */
function weight(key) {
  if (key === "lift") return [2.6, 0.42];
  if (key === "tilt" || key === "yaw" || key === "pitch") return [1.25, 0.72];
  if (key === "blush") return [0.6, 1];
  return [3.4, 0.85];
}
