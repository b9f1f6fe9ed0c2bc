// @ts-check
/** `window.vtuber`: what the page hears and shows, as numbers. Read-only; for tests and for the curious. */

/**
 * @param {{state: {phase: string, turn: number, hearing: boolean, connection: {input: string, output: string}},
 *   playback: import("./playback.js").Playback, clock: import("./clock.js").Clock, captions: import("./captions.js").Captions,
 *   turns: import("./turn.js").Turns, latencies: import("./latency.js").Latencies, microphone: import("./microphone.js").Microphone, mouth: () => import("./lip-sync.js").MouthShape}} parts
 */
export function publish({ state, playback, clock, captions, turns, latencies, microphone, mouth }) {
  const readings = {
    /** "suspended" until the first gesture, then "running". */
    audioState: () => playback.state,
    /** Frames at the context's rate that have sounded since the page was opened. */
    samplesPlayed: () => playback.samplesPlayed,
    /** Of the last 43 ms, after the volume, 0..1. */
    rms: () => playback.rms,
    /** As drawn now, 0..1. */
    mouthOpen: () => mouth().open,
    /** What the captions have shown as said, from the reply's beginning. */
    captionText: () => captions.spokenText,
    replyText: () => turns.latest?.reply ?? "",
    phase: () => state.phase,
    turn: () => state.turn,
    /** "off", "asking", "on", "denied" or "missing". */
    microphone: () => microphone.state,
    /** Gaps that were heard in the middle of a turn. */
    underruns: () => playback.underruns,
    /** How far the newest voice lags behind the session's clock in this window, ms. */
    shiftMs: () => playback.shiftMs(playback.position()?.turn ?? state.turn),
    connection: () => ({ ...state.connection }),
    /** By turn: `{textMs, audioMs, stopMs}`. */
    latency: () => latencies.all(),
    /** `serverTime`: output-handler's clock, ms, at which `offsetMs` sounds here. Null before the first sound. */
    playhead: () => {
      const position = playback.position();
      if (!position) return null;
      const now = performance.now();
      return { turn: position.turn, offsetMs: position.offsetMs, sounding: position.sounding, serverTime: clock.toServer(now, now) };
    },
  };
  const vtuber = Object.create(null);
  for (const [name, get] of Object.entries(readings)) Object.defineProperty(vtuber, name, { get, enumerable: true });
  Object.defineProperty(window, "vtuber", { value: Object.freeze(vtuber) });
}
