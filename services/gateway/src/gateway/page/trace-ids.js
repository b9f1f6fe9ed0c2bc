// @ts-check
/** Creates the ids of a message: its trace context and its requestId. */

/** @param {number} bytes */
function hex(bytes) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A W3C traceparent, sampled. */
export const newTraceparent = () => `00-${hex(16)}-${hex(8)}-01`;

/** A UUIDv4. `crypto.randomUUID` is missing in insecure contexts, such as a phone over plain http. */
export function newRequestId() {
  const digits = hex(16);
  const variant = "89ab"[Number.parseInt(digits[16], 16) & 3];
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-${variant}${digits.slice(17, 20)}-${digits.slice(20)}`;
}
