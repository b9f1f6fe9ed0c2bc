// @ts-check
/**
 * The turns of a session as this page knows them. Pure: no DOM, no sockets, no clock.
 *
 * A turn is told from up to three sides: history, the output socket (every viewer) and the input socket (who asked). They overlap and
 * come in any order, so each side only ever adds. Places in a reply are counted in code points, as on the wire.
 */

/**
 * @typedef {"pending"|"running"|"done"|"failed"} Status
 * @typedef {object} Turn
 * @property {string} key stable name of the entry, for the page
 * @property {number} turn 0 while the server has not numbered it
 * @property {number} order place in the conversation: the number, or after what was known when it was asked
 * @property {string | null} requestId of this window's own message
 * @property {boolean} mine this browser said it, in this window or before
 * @property {string} user
 * @property {string} reply
 * @property {Status} status
 * @property {boolean} interrupted
 * @property {string | null} heard the words that were heard, once the server has said so
 * @property {string | null} error code
 * @property {number | null} ts Unix seconds
 * @property {boolean} fallback the main path did not answer, the legacy chain did
 * @property {string | null} reason why, as the server names it
 * @property {{by: string, others: string} | null} instead who answered and spoke in place of whom, where that has changed since the turn before
 *
 * @typedef {{turn: number, user: string, reply: string, ts: number, interrupted?: boolean, path?: string, requestId?: string}} Past
 *   a turn that is over; the reply of an interrupted one is what was heard of it
 */

export class Turns {
  /**
   * @param {(turn: Turn) => void} onChange @param {(turn: Turn) => void} onGone an entry that turned out to be another one
   * @param {(record: Past) => boolean} isMine this browser said what the record holds
   */
  constructor(onChange, onGone, isMine) {
    this.isMine = isMine;
    this.onChange = onChange;
    this.onGone = onGone;
    /** @type {Turn[]} */
    this.entries = [];
    /** @type {Map<Turn, {own: string, spoken: string}>} a reply as told by the input socket, and by the output socket */
    this.sides = new Map();
    this.count = 0;
    this.lastInstead = "";
  }

  /** @param {number} number @returns {Turn | undefined} */
  find(number) {
    return number ? this.entries.find((entry) => entry.turn === number) : undefined;
  }

  /** The newest that the server has numbered: what is on stage. @returns {Turn | undefined} */
  get latest() {
    return this.entries.reduce((/** @type {Turn | undefined} */ last, entry) => (entry.turn > (last?.turn ?? 0) ? entry : last), undefined);
  }

  /** Numbered, and not at its end as far as anybody has said. @returns {Turn[]} */
  get unfinished() {
    return this.entries.filter((entry) => entry.turn && entry.status === "running" && (entry.reply || !entry.requestId));
  }

  /**
   * Turns that are over, as the server keeps them. What is not here is added, what a break left in the middle is completed.
   * @param {Past[]} records
   */
  history(records) {
    for (const record of records) {
      const { turn, user, reply, ts, interrupted, path, requestId } = record;
      // The answer that numbers an own message may have been lost in the same break.
      const known = this.find(turn) ?? (requestId && this.entries.find((entry) => !entry.turn && entry.requestId === requestId));
      if (known) {
        this.#complete(known, record);
        continue;
      }
      const entry = this.#add({ turn, user, status: "done" });
      Object.assign(entry, { reply, ts, mine: this.isMine(record), interrupted, fallback: path === "legacy" });
      this.onChange(entry);
    }
    const newest = this.latest?.turn ?? 0;
    for (const entry of this.entries) {
      if (entry.status !== "pending" || entry.order > newest) continue;
      entry.order = newest + 0.5;
      this.onChange(entry);
    }
  }

  /** This window asked. @param {string} requestId @param {string} user */
  asked(requestId, user) {
    const entry = this.#add({ requestId, mine: true, user, status: "pending" });
    this.onChange(entry);
    return entry;
  }

  /** This window's microphone heard a message, and it is a turn already. @param {number} number @param {string} user */
  heard(number, user) {
    const entry = this.started(number, user);
    entry.requestId ??= `heard-${number}`;
    entry.mine = true;
    this.onChange(entry);
    return entry;
  }

  /** The server told the number of an own message. @param {string} requestId @param {number} number */
  numbered(requestId, number) {
    const entry = this.entries.find((each) => each.requestId === requestId);
    if (!entry || !number || entry.turn === number) return entry;
    const twin = this.find(number);
    if (twin) this.#absorb(entry, twin);
    entry.turn = entry.order = number;
    if (entry.status === "pending") entry.status = "running";
    this.onChange(entry);
    return entry;
  }

  /**
   * START: somebody's turn runs.
   * @param {number} number @param {string | null | undefined} user @param {{path?: string, reason?: string}} [how]
   */
  started(number, user, how = {}) {
    let entry = this.find(number);
    // The output socket may be faster than the answer to our own message.
    entry ??= this.entries.find((each) => each.turn === 0 && each.status === "pending" && each.user.trim() === (user ?? "").trim());
    entry ??= this.#add({ turn: number, user: user ?? "", status: "running" });
    entry.turn = entry.order = number;
    if (user && !entry.user) entry.user = user;
    if (entry.status === "pending") entry.status = "running";
    if (how.path === "legacy") {
      // The engine may have announced this turn and broken off before a word: that was no interruption of hers.
      if (!entry.reply) Object.assign(entry, { interrupted: false, heard: null, status: "running" });
      this.#fellBack(entry, how.reason);
    }
    this.onChange(entry);
    return entry;
  }

  /** TEXT_DELTA of the output socket. @param {number} number @param {string} content @param {number} textStart @param {boolean} eos */
  spoken(number, content, textStart, eos) {
    const entry = this.find(number) ?? this.#add({ turn: number, user: "", status: "running" });
    const sides = this.#sides(entry);
    // A late joiner gets the text so far in one piece; after a reconnect it overlaps what is here.
    sides.spoken = [...sides.spoken].slice(0, textStart).join("") + content;
    this.#tell(entry, eos);
  }

  /** text-delta of the input socket. @param {string} requestId @param {string} content @param {boolean} eos */
  written(requestId, content, eos) {
    const entry = this.entries.find((each) => each.requestId === requestId);
    if (!entry) return;
    this.#sides(entry).own += content;
    this.#tell(entry, eos);
  }

  /** @param {number} number @param {string | null} heard */
  interrupted(number, heard) {
    const entry = this.find(number);
    if (!entry) return;
    entry.interrupted = true;
    if (heard !== null) entry.heard = heard;
    if (entry.status === "running") entry.status = "done";
    this.onChange(entry);
  }

  /**
   * @param {string | null} requestId @param {number} number
   * @param {{path?: string, fallback_reason?: string, llm?: string, voice?: string, instead_of?: Record<string, string>}} [stats]
   */
  done(requestId, number, stats = {}) {
    const entry = this.#either(requestId, number);
    if (!entry || entry.status === "failed") return;
    entry.status = "done";
    if (stats.path === "legacy") this.#fellBack(entry, stats.fallback_reason);
    else entry.instead = this.#instead(stats.llm, stats.voice, stats.instead_of ?? {});
    this.onChange(entry);
  }

  /** @param {string | null} requestId @param {number} number @param {string} code */
  failed(requestId, number, code) {
    const entry = this.#either(requestId, number);
    if (!entry) return;
    entry.status = "failed";
    entry.error = code;
    this.onChange(entry);
  }

  /**
   * A record may be older than what a socket has told since: it takes nothing back.
   * @param {Turn} entry @param {Past} record
   */
  #complete(entry, { turn, user, reply, interrupted, path }) {
    // One that the engine withdrew before a word may have been answered by the legacy chain since.
    const unsaid = reply !== "" && !entry.reply;
    const cut = interrupted && entry.heard === null;
    if (entry.status === "done" && !unsaid && !cut) return;
    entry.turn = entry.order = turn;
    entry.user ||= user;
    entry.mine ||= this.isMine({ turn, user, reply, ts: 0 });
    if (unsaid) entry.interrupted = false;
    if (cut) Object.assign(entry, { interrupted: true, heard: reply });
    // Of one that was cut off, this window may have read more than was heard.
    if (!cut || !entry.reply.startsWith(reply)) entry.reply = reply;
    this.#sides(entry).spoken = entry.reply;
    if (path === "legacy") this.#fellBack(entry, undefined);
    Object.assign(entry, { status: "done", error: null });
    this.onChange(entry);
  }

  /** @param {string | null} requestId @param {number} number */
  #either(requestId, number) {
    return (requestId && this.entries.find((entry) => entry.requestId === requestId)) || this.find(number);
  }

  /** @param {Partial<Turn>} fields @returns {Turn} */
  #add(fields) {
    const entry = {
      ...{ key: `t${++this.count}`, turn: 0, requestId: null, mine: false, user: "", reply: "", status: /** @type {Status} */ ("running") },
      ...{ interrupted: false, heard: null, error: null, ts: null, fallback: false, reason: null, instead: null },
      ...{ order: fields.turn ?? (this.latest?.turn ?? 0) + 0.5 },
      ...fields,
    };
    this.entries.push(entry);
    return entry;
  }

  /**
   * Told once, and again when it changes: nobody wants it below every line.
   * @param {string | undefined} llm @param {string | undefined} voice @param {Record<string, string>} instead
   */
  #instead(llm, voice, instead) {
    const by = [llm, voice].filter(Boolean).join(", ");
    const others = Object.entries(instead).map(([name, why]) => `${name} (${why})`).join(", ");
    if (others === this.lastInstead) return null;
    this.lastInstead = others;
    return others ? { by, others } : null;
  }

  /** Told by START, by `done`, or by both. @param {Turn} entry @param {string | undefined} reason */
  #fellBack(entry, reason) {
    entry.fallback = true;
    entry.reason = reason ?? entry.reason;
  }

  /** @param {Turn} entry */
  #sides(entry) {
    let sides = this.sides.get(entry);
    if (!sides) this.sides.set(entry, (sides = { own: "", spoken: "" }));
    return sides;
  }

  /** @param {Turn} entry @param {boolean} eos */
  #tell(entry, eos) {
    const { own, spoken } = this.#sides(entry);
    entry.reply = own.length > spoken.length ? own : spoken;
    if (entry.status === "pending") entry.status = "running";
    if (eos && entry.status === "running") entry.status = "done";
    this.onChange(entry);
  }

  /** @param {Turn} entry @param {Turn} twin */
  #absorb(entry, twin) {
    const sides = this.#sides(entry);
    const other = this.#sides(twin);
    sides.spoken = sides.spoken || other.spoken;
    sides.own = sides.own || other.own;
    entry.reply = sides.own.length > sides.spoken.length ? sides.own : sides.spoken;
    entry.interrupted ||= twin.interrupted;
    if (twin.fallback) this.#fellBack(entry, twin.reason ?? undefined);
    this.entries.splice(this.entries.indexOf(twin), 1);
    this.sides.delete(twin);
    this.onGone(twin);
  }
}
