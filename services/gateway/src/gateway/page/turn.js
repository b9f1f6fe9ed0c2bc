// @ts-check
/**
 * The turns of a session as this page knows them. Pure: no DOM, no sockets, no clock.
 *
 * A turn is assembled from up to three sources: the history, the output socket (all viewers) and the
 * input socket (the client that sent the message). They overlap and arrive in any order, so every
 * source only adds to a turn and removes nothing. Until the server has numbered a message, its turn
 * may exist twice, once by requestId and once by number; the two are merged as soon as the number
 * arrives. Indexes in a reply are code points, as on the wire.
 */

/**
 * @typedef {"pending"|"running"|"done"|"failed"} Status
 * @typedef {object} Turn
 * @property {string} key stable identifier of the entry within this page
 * @property {number} turn its number; 0 until the server has assigned one
 * @property {number} order sort key in the conversation: the number, or after the newest turn that was known when it was sent
 * @property {string | null} requestId of a message from this window
 * @property {boolean} mine the message is from this browser, from this window or an earlier one
 * @property {string} user
 * @property {string} reply
 * @property {Status} status
 * @property {boolean} interrupted
 * @property {string | null} playedText the part of an interrupted reply that was played; null until the server has reported it
 * @property {string | null} error code
 * @property {number | null} ts Unix seconds
 * @property {boolean} fallback answered by the legacy pipeline instead of the main path
 * @property {string | null} reason of the fallback, as the server names it
 * @property {{by: string, others: string} | null} instead which providers answered in place of which others; null if that has not changed since the turn before
 *
 * @typedef {{turn: number, user: string, reply: string, ts: number, interrupted?: boolean, path?: string, requestId?: string}} TurnRecord
 *   a finished turn from the history; the reply of an interrupted one is the part that was played
 */

export class Turns {
  /**
   * @param {(turn: Turn) => void} onChange @param {(turn: Turn) => void} onRemoved for an entry that was merged into another one
   * @param {(record: TurnRecord) => boolean} isMine the message of the record is from this browser
   */
  constructor(onChange, onRemoved, isMine) {
    this.isMine = isMine;
    this.onChange = onChange;
    this.onRemoved = onRemoved;
    /** @type {Turn[]} */
    this.entries = [];
    /**
     * @type {Map<Turn, {input: string, output: string}>} the reply as received from the input socket and from the output socket
     */
    this.sources = new Map();
    this.keyCount = 0;
    this.lastInstead = "";
  }

  /** @param {number} number @returns {Turn | undefined} */
  find(number) {
    return number ? this.entries.find((entry) => entry.turn === number) : undefined;
  }

  /** The turn with the highest number: the one on stage. @returns {Turn | undefined} */
  get latest() {
    return this.entries.reduce((/** @type {Turn | undefined} */ last, entry) => (entry.turn > (last?.turn ?? 0) ? entry : last), undefined);
  }

  /** Numbered turns of which no source has reported the end. @returns {Turn[]} */
  get unfinished() {
    return this.entries.filter((entry) => entry.turn && entry.status === "running" && (entry.reply || !entry.requestId));
  }

  /**
   * Merges the finished turns that the server has stored: adds unknown ones and completes those that
   * a lost connection left unfinished.
   * @param {TurnRecord[]} records
   */
  mergeHistory(records) {
    for (const record of records) {
      const { turn, user, reply, ts, interrupted, path, requestId } = record;
      // The event that numbers an own message may have been lost with the same connection.
      const known = this.find(turn) ?? (requestId && this.entries.find((entry) => !entry.turn && entry.requestId === requestId));
      if (known) {
        this.#mergeRecord(known, record);
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

  /** This window sends a message. @param {string} requestId @param {string} user */
  sent(requestId, user) {
    const entry = this.#add({ requestId, mine: true, user, status: "pending" });
    this.onChange(entry);
    return entry;
  }

  /**
   * FINAL: a message from this window's microphone was transcribed, and already is a turn.
   * @param {number} number
   * @param {string} user
   */
  transcribed(number, user) {
    const entry = this.started(number, user);
    entry.requestId ??= `spoken-${number}`;
    entry.mine = true;
    this.onChange(entry);
    return entry;
  }

  /** The server assigned a number to an own message. @param {string} requestId @param {number} number */
  numberAssigned(requestId, number) {
    const entry = this.entries.find((each) => each.requestId === requestId);
    if (!entry || !number || entry.turn === number) return entry;
    const duplicate = this.find(number);
    if (duplicate) this.#mergeDuplicate(entry, duplicate);
    entry.turn = entry.order = number;
    if (entry.status === "pending") entry.status = "running";
    this.onChange(entry);
    return entry;
  }

  /**
   * START: a turn of any client is running.
   * @param {number} number @param {string | null | undefined} user @param {{path?: string, reason?: string}} [details]
   */
  started(number, user, details = {}) {
    let entry = this.find(number);
    // START on the output socket may arrive before the number of the own message on the input socket.
    entry ??= this.entries.find((each) => each.turn === 0 && each.status === "pending" && each.user.trim() === (user ?? "").trim());
    entry ??= this.#add({ turn: number, user: user ?? "", status: "running" });
    entry.turn = entry.order = number;
    if (user && !entry.user) entry.user = user;
    if (entry.status === "pending") entry.status = "running";
    if (details.path === "legacy") {
      // The engine may have started this turn and failed before any text: that is not an interruption.
      if (!entry.reply) Object.assign(entry, { interrupted: false, playedText: null, status: "running" });
      this.#markFallback(entry, details.reason);
    }
    this.onChange(entry);
    return entry;
  }

  /**
   * TEXT_DELTA of the output socket.
   * @param {number} number
   * @param {string} content
   * @param {number} textStart
   * @param {boolean} eos
   */
  appendOutputText(number, content, textStart, eos) {
    const entry = this.find(number) ?? this.#add({ turn: number, user: "", status: "running" });
    const sources = this.#sourcesOf(entry);
    // A client that joins late receives the text so far in one frame; after a reconnect it overlaps what is here.
    sources.output = [...sources.output].slice(0, textStart).join("") + content;
    this.#updateReply(entry, eos);
  }

  /** text-delta of the input socket. @param {string} requestId @param {string} content @param {boolean} eos */
  appendInputText(requestId, content, eos) {
    const entry = this.entries.find((each) => each.requestId === requestId);
    if (!entry) return;
    this.#sourcesOf(entry).input += content;
    this.#updateReply(entry, eos);
  }

  /** @param {number} number @param {string | null} playedText */
  interrupted(number, playedText) {
    const entry = this.find(number);
    if (!entry) return;
    entry.interrupted = true;
    if (playedText !== null) entry.playedText = playedText;
    if (entry.status === "running") entry.status = "done";
    this.onChange(entry);
  }

  /**
   * @param {string | null} requestId @param {number} number
   * @param {{path?: string, fallback_reason?: string, llm?: string, voice?: string, instead_of?: Record<string, string>}} [stats]
   */
  done(requestId, number, stats = {}) {
    const entry = this.#findEither(requestId, number);
    if (!entry || entry.status === "failed") return;
    entry.status = "done";
    if (stats.path === "legacy") this.#markFallback(entry, stats.fallback_reason);
    else entry.instead = this.#instead(stats.llm, stats.voice, stats.instead_of ?? {});
    this.onChange(entry);
  }

  /** @param {string | null} requestId @param {number} number @param {string} code */
  failed(requestId, number, code) {
    const entry = this.#findEither(requestId, number);
    if (!entry) return;
    entry.status = "failed";
    entry.error = code;
    this.onChange(entry);
  }

  /**
   * A record may be older than what a socket has delivered since, so it removes nothing.
   * @param {Turn} entry @param {TurnRecord} record
   */
  #mergeRecord(entry, { turn, user, reply, interrupted, path }) {
    // A turn that the engine aborted before any text may have been answered by the legacy pipeline since.
    const missing = reply !== "" && !entry.reply;
    const cut = interrupted && entry.playedText === null;
    if (entry.status === "done" && !missing && !cut) return;
    entry.turn = entry.order = turn;
    entry.user ||= user;
    entry.mine ||= this.isMine({ turn, user, reply, ts: 0 });
    if (missing) entry.interrupted = false;
    if (cut) Object.assign(entry, { interrupted: true, playedText: reply });
    // This window may have received more of an interrupted reply than was played.
    if (!cut || !entry.reply.startsWith(reply)) entry.reply = reply;
    this.#sourcesOf(entry).output = entry.reply;
    if (path === "legacy") this.#markFallback(entry, undefined);
    Object.assign(entry, { status: "done", error: null });
    this.onChange(entry);
  }

  /** @param {string | null} requestId @param {number} number */
  #findEither(requestId, number) {
    return (requestId && this.entries.find((entry) => entry.requestId === requestId)) || this.find(number);
  }

  /** @param {Partial<Turn>} fields @returns {Turn} */
  #add(fields) {
    const entry = {
      ...{ key: `t${++this.keyCount}`, turn: 0, requestId: null, mine: false, user: "", reply: "", status: /** @type {Status} */ ("running") },
      ...{ interrupted: false, playedText: null, error: null, ts: null, fallback: false, reason: null, instead: null },
      ...{ order: fields.turn ?? (this.latest?.turn ?? 0) + 0.5 },
      ...fields,
    };
    this.entries.push(entry);
    return entry;
  }

  /**
   * Shown once, and again when it changes, rather than below every turn.
   * @param {string | undefined} llm @param {string | undefined} voice @param {Record<string, string>} instead
   */
  #instead(llm, voice, instead) {
    const by = [llm, voice].filter(Boolean).join(", ");
    const others = Object.entries(instead).map(([name, why]) => `${name} (${why})`).join(", ");
    if (others === this.lastInstead) return null;
    this.lastInstead = others;
    return others ? { by, others } : null;
  }

  /** Reported by START, by `done`, or by both. @param {Turn} entry @param {string | undefined} reason */
  #markFallback(entry, reason) {
    entry.fallback = true;
    entry.reason = reason ?? entry.reason;
  }

  /** @param {Turn} entry */
  #sourcesOf(entry) {
    let sources = this.sources.get(entry);
    if (!sources) this.sources.set(entry, (sources = { input: "", output: "" }));
    return sources;
  }

  /** @param {Turn} entry @param {boolean} eos */
  #updateReply(entry, eos) {
    const { input, output } = this.#sourcesOf(entry);
    entry.reply = input.length > output.length ? input : output;
    if (entry.status === "pending") entry.status = "running";
    if (eos && entry.status === "running") entry.status = "done";
    this.onChange(entry);
  }

  /** @param {Turn} entry @param {Turn} duplicate */
  #mergeDuplicate(entry, duplicate) {
    const sources = this.#sourcesOf(entry);
    const other = this.#sourcesOf(duplicate);
    sources.output = sources.output || other.output;
    sources.input = sources.input || other.input;
    entry.reply = sources.input.length > sources.output.length ? sources.input : sources.output;
    entry.interrupted ||= duplicate.interrupted;
    if (duplicate.fallback) this.#markFallback(entry, duplicate.reason ?? undefined);
    this.entries.splice(this.entries.indexOf(duplicate), 1);
    this.sources.delete(duplicate);
    this.onRemoved(duplicate);
  }
}
