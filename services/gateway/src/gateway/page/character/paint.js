// @ts-check
/** Colours and SVG helpers of the drawing. Lengths are in units of the drawing; the head is about 300 high. */

export const INK = "#3a2f63";
export const SKIN = "#ffe8dd";
export const SKIN_SHADE = "#f7c8ba";

const NS = "http://www.w3.org/2000/svg";

/**
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {(SVGElement | string)[]} [children]
 * @returns {SVGElement}
 */
export function draw(name, attributes = {}, children = []) {
  const element = /** @type {SVGElement} */ (document.createElementNS(NS, name));
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** @param {string} d @param {string} fill @param {Record<string, string | number>} [more] */
export const fill = (d, fill, more = {}) => draw("path", { d, fill, ...more });

/** @param {string} d @param {number} width @param {string} [colour] @param {Record<string, string | number>} [more] */
export const line = (d, width, colour = INK, more = {}) =>
  draw("path", { d, fill: "none", stroke: colour, "stroke-width": width, "stroke-linecap": "round", "stroke-linejoin": "round", ...more });

/** @param {(SVGElement | string)[]} children @param {Record<string, string | number>} [attributes] */
export const group = (children, attributes = {}) => draw("g", attributes, children);

/**
 * A gradient in units of the drawing, so that it is continuous across neighbouring shapes.
 * @param {string} id @param {[number, number, number, number]} axis x1 y1 x2 y2 @param {[number, string, number?][]} stops offset, colour, opacity
 */
export function gradient(id, [x1, y1, x2, y2], stops) {
  return draw("linearGradient", { id, gradientUnits: "userSpaceOnUse", x1, y1, x2, y2 }, marks(stops));
}

/** @param {string} id @param {[number, string, number?][]} stops */
export const glow = (id, stops) => draw("radialGradient", { id }, marks(stops));

/** @param {[number, string, number?][]} stops */
const marks = (stops) => stops.map(([offset, colour, opacity = 1]) => draw("stop", { offset, "stop-color": colour, "stop-opacity": opacity }));

/** Rounds to a tenth of a unit, which is finer than a pixel. @param {number} value */
export const n = (value) => Math.round(value * 10) / 10;
