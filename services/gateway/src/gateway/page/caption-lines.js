// @ts-check
/**
 * Splits a reply into caption lines, and a line into words. Pure; indexes are code points, as on the wire.
 *
 * A line break depends only on the text before it, so lines stay stable while the reply grows.
 */

/** Width of a line in columns; a hanzi takes two. */
const MAX_COLUMNS = 50;
/** A sentence with fewer columns shares its line with the next one. */
const MIN_COLUMNS = 14;

const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uff60]/u;
const KANA = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}";
const WORD = new RegExp(`[${KANA}]\\p{P}*\\s*|[^\\s${KANA}]+\\s*|\\s+`, "gu");

/** @typedef {{start: number, end: number}} Span */

/** @param {string[]} points code points of the reply @returns {Span[]} */
export function captionLines(points) {
  /** @type {Span[]} */
  const lines = [];
  let start = 0;
  let soft = 0;
  let width = 0;
  const cut = (/** @type {number} */ end) => {
    lines.push({ start, end });
    start = soft = end;
  };
  for (let i = 0; i < points.length; i++) {
    width += columns(points[i]);
    if (points[i] === "\n" || (width >= MIN_COLUMNS && sentenceEnds(points, i))) {
      cut(i + 1);
      width = 0;
      continue;
    }
    if (mayBreakAfter(points, i)) soft = i + 1;
    if (width > MAX_COLUMNS && soft > start) {
      cut(soft);
      width = 0;
      for (let k = start; k <= i; k++) width += columns(points[k]);
    }
  }
  if (start < points.length) cut(points.length);
  return lines;
}

/**
 * Words of a line with the punctuation and spaces that follow them; each hanzi is a word.
 * @param {string[]} points
 * @param {Span} line
 * @returns {Span[]}
 */
export function captionWords(points, line) {
  let at = line.start;
  return (points.slice(line.start, line.end).join("").match(WORD) ?? []).map((word) => {
    const start = at;
    at += [...word].length;
    return { start, end: at };
  });
}

/** @param {string} point */
const columns = (point) => (WIDE.test(point) ? 2 : 1);

/**
 * A CJK sentence ends at its mark (and closing quotes), any other one at the space after the mark: "3.14" has no sentence end.
 * @param {string[]} points @param {number} i
 */
function sentenceEnds(points, i) {
  const next = points[i + 1];
  if (next === undefined || /[\s”’」』）)"'。！？!?….]/.test(next)) return false;
  let last = i;
  while (last > 0 && /[\s”’」』）)"']/.test(points[last])) last--;
  return /[。！？…]/.test(points[last]) || (/\s/.test(points[i]) && /[.!?]/.test(points[last]));
}

/** @param {string[]} points @param {number} i */
function mayBreakAfter(points, i) {
  const next = points[i + 1];
  if (next === undefined || /[\p{P}\s]/u.test(next)) return false;
  return /[\s，、；：]/.test(points[i]) || (WIDE.test(points[i]) && WIDE.test(next));
}
