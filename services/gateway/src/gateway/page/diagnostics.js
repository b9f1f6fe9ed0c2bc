// @ts-check
/** `window.vtuber`: the state of the page as numbers. Read-only; for tests and debugging. */

/**
 * @param {{
 *   state: {phase: string, turn: number, userSpeaking: boolean, connection: {input: string, output: string}},
 *   playback: import("./playback.js").Playback,
 *   clock: import("./clock.js").Clock,
 *   captions: import("./captions.js").Captions,
 *   turns: import("./turn.js").Turns,
 *   latencies: import("./latency.js").Latencies,
 *   microphone: import("./microphone.js").Microphone,
 *   mouth: () => import("./lip-sync.js").MouthShape,
 * }} parts
 */
export function publish({ state, playback, clock, captions, turns, latencies, microphone, mouth }) {
  const readings = {
    /** "suspended" until the first gesture, then "running". */
    audioState: () => playback.state,
    /** Frames at the context's rate that have sounded since the page was loaded. */
    samplesPlayed: () => playback.samplesPlayed,
    /** RMS of the last 43 ms of output, after the volume, 0..1. */
    rms: () => playback.rms,
    /** Opening of the mouth as drawn now, 0..1. */
    mouthOpen: () => mouth().open,
    /** The part of the reply that the captions have shown as spoken. */
    captionText: () => captions.spokenText,
    replyText: () => turns.latest?.reply ?? "",
    phase: () => state.phase,
    turn: () => state.turn,
    /** "off", "asking", "on", "denied", "missing" or "insecure". */
    microphone: () => microphone.state,
    /** Number of audible gaps in the middle of turns. */
    underruns: () => playback.underruns,
    /** How far the newest turn's audio lags behind the session's clock in this window, ms. */
    shiftMs: () => playback.shiftMs(playback.position()?.turn ?? state.turn),
    connection: () => ({ ...state.connection }),
    /** By turn: `{textMs, audioMs, stopMs}`. */
    latency: () => latencies.all(),
    /** Playback position. `serverTime`: output-handler's clock, ms, at which `offsetMs` sounds here. Null before the first sound. */
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
