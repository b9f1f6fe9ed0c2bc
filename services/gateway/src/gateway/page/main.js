// @ts-check
/** Wires the page together: sockets into turns and sound, both into what is seen. */

import { Captions } from "./captions.js";
import { Character } from "./character/character.js";
import { Clock } from "./clock.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { publish } from "./diagnostics.js";
import { FrameRateGovernor } from "./frame-rate.js";
import { Greeting } from "./greeting.js";
import { HistorySync } from "./history.js";
import { Input } from "./input.js";
import { language } from "./language.js";
import { Latencies } from "./latency.js";
import { closedMouth, mouthShapeAt, smoothMouthShape } from "./lip-sync.js";
import { Announcer } from "./live-region.js";
import { Microphone } from "./microphone.js";
import { Listening } from "./microphone-panel.js";
import { Output } from "./output.js";
import { OwnMessages } from "./own-messages.js";
import { Playback } from "./playback.js";
import { currentSession, SessionDialog } from "./sessions.js";
import { Stage } from "./stage.js";
import { Turns } from "./turn.js";
import { VolumeControl } from "./volume.js";

/** A way out takes longer to read than a remark. */
const LONG_NOTICE_MS = 20_000;

/** @template {HTMLElement} T @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));

language.apply(document);
element("language").addEventListener("click", () => language.toggle());

const sessionId = currentSession();
document.title = `${sessionId} · VTuber`;
new SessionDialog(element("session"), element("sessions"), sessionId);

const state = { phase: "IDLE", turn: 0, hearing: false, connection: { input: "connecting", output: "connecting" } };
const ownMessages = new OwnMessages(sessionId);
const latencies = new Latencies();
const announcer = new Announcer(element("announcer"));
const stage = new Stage(element("stage"));
const captions = new Captions(element("captions"));
const character = new Character(element("character"));

const conversation = new Conversation(element("turns"), element("empty"), element("latest"), {
  latency: (turn) => latencies.byTurn.get(turn),
  onRetry: (text) => say(text),
});
const turns = new Turns(
  (turn) => {
    conversation.show(turn);
    announcer.follow(turn);
  },
  (turn) => conversation.remove(turn),
  (record) => ownMessages.has(record),
);
new Greeting(element("empty"), (text) => say(text));

const clock = new Clock();
const playback = new Playback(clock, {
  onPlayed: (turn, offsetMs) => output.played(turn, offsetMs, Boolean(turns.find(turn)?.requestId)),
  onFirstSound: (turn, at) => {
    latencies.firstAudio(turn, at);
    refresh(turn);
  },
  onState: (audio) => stage.setSilenced(audio !== "running"),
});
stage.setSilenced(playback.state !== "running");
new VolumeControl(element("volume"), (volume) => playback.setVolume(volume));
for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => playback.unlock(), { capture: true, passive: true });

const composer = new Composer(element("composer"), { onSay: say, onStop: stop });

const output = new Output(sessionId, clock, {
  onFrame: takeFrame,
  onChunk: (chunk) => playback.addChunk(chunk),
  onTime: () => playback.placeWaiting(),
  onState: (connection) => connectionChanged("output", connection),
});
const input = new Input(sessionId, {
  onEvent: takeEvent,
  onRefused: (requestId, code) => {
    if (requestId) turns.failed(requestId, 0, code);
    else stage.notice(language.error(code));
    // Nobody listens: a light that is on would be a lie.
    if (code === "asr_unavailable" || code === "no_model") microphone.off();
  },
  onState: (connection) => connectionChanged("input", connection),
  onHeard: takeHeard,
});

const microphone = new Microphone({
  onFrame: (pcm) => input.audio(pcm),
  onState: (listens) => {
    listening.show(listens);
    if (listens === "on") {
      input.listen(microphone.sampleRate);
      if (!microphone.echoSafe) stage.notice(language.text("micTurns"));
    } else {
      input.deafen();
      if (listens === "denied" || listens === "missing") stage.notice(language.text(listens === "denied" ? "micDenied" : "micMissing"));
      if (listens === "insecure") stage.notice(language.text("micInsecure"), LONG_NOTICE_MS);
    }
  },
  speaking: () => soundingTurn() !== null,
});
const listening = new Listening(element("composer"), {
  onToggle: () => {
    playback.unlock();
    if (microphone.state === "on") microphone.off();
    else microphone.on();
  },
});

const historySync = new HistorySync(sessionId, turns, {
  onFailed: () => stage.notice(language.text("historyFailed")),
  isLive: ({ turn, requestId }) => input.awaits(requestId) || (turn === state.turn && onStage()),
});
historySync.load();

/** @param {string} text */
function say(text) {
  const now = performance.now();
  playback.unlock();
  // A new turn cuts off the one that sounds: that is a STOP too, and is measured as one.
  const sounding = soundingTurn();
  if (sounding) latencies.stopPressed(sounding, now);
  const requestId = input.say(text, language.of(text));
  latencies.sent(requestId, now);
  ownMessages.addRequest(requestId);
  turns.sent(requestId, text);
  conversation.toEnd();
}

function stop() {
  if (!busy()) return;
  const turn = soundingTurn() ?? state.turn;
  latencies.stopPressed(turn, performance.now());
  if (!output.stop(turn || null)) stage.notice(language.text("reconnecting"));
}

function soundingTurn() {
  const position = playback.position();
  return position && (position.sounding || position.next) ? position.turn : null;
}

function onStage() {
  return state.phase === "THINKING" || state.phase === "SPEAKING";
}

function busy() {
  return onStage() || soundingTurn() !== null;
}

/** @param {import("./input.js").TurnEvent} event */
function takeEvent({ requestId, turn, event, data }) {
  if (requestId) {
    latencies.assignTurn(requestId, turn);
    const entry = turns.numberAssigned(requestId, turn);
    if (entry) ownMessages.addTurn(turn, entry.user);
    historySync.turnNumbered(turn);
  }
  if (event === "text-delta" && requestId) {
    if (data.content) latencies.firstText(turn, performance.now());
    turns.appendInputText(requestId, data.content ?? "", data.eos === true);
  } else if (event === "done") {
    turns.done(requestId, turn, data.stats);
  } else if (event === "error") {
    turns.failed(requestId, turn, data.code);
  }
}

/** @param {{type: string, text?: string, turn?: number}} frame of this window's microphone */
function takeHeard({ type, text = "", turn = 0 }) {
  state.hearing = type === "SPEECH_STARTED" || type === "PARTIAL";
  listening.partial(type === "PARTIAL" ? text : "");
  if (type === "FINAL") {
    turns.transcribed(turn, text);
    ownMessages.addTurn(turn, text);
    conversation.toEnd();
  }
  showPhase();
}

/** Whoever speaks sees that she listens, whatever she is doing. */
function showPhase() {
  stage.setPhase(state.hearing ? "LISTENING" : state.phase);
}

/** @param {any} frame */
function takeFrame(frame) {
  const { turn } = frame;
  if (frame.type === "STATE") {
    state.phase = frame.phase;
    state.turn = turn;
    if (frame.phase === "SPEAKING") playback.setStartTime(turn, frame.startedAt);
    historySync.stateReceived(frame);
    showPhase();
  } else if (frame.type === "TEXT_DELTA") {
    if (frame.content) latencies.firstText(turn, performance.now());
    turns.appendOutputText(turn, frame.content, frame.textStart ?? 0, frame.eos === true);
  } else if (frame.type === "ERROR") {
    // A few lost chunks are heard, if at all, as a breath; a sentence about them would disturb more.
    if (frame.code === "chunk_gap") console.warn(frame.message);
    else stage.notice(language.error(frame.code));
  } else if (frame.type === "START" || frame.action === "START") {
    turns.started(turn, frame.userText, frame);
    historySync.turnNumbered(turn);
  } else if (frame.action === "PAUSE") {
    playback.pause(turn);
  } else if (frame.action === "RESUME") {
    playback.resume(turn);
  } else if (frame.action === "STOP") {
    const silence = playback.flush(turn ?? state.turn);
    if (silence !== null) latencies.silenced(turn, silence);
    turns.interrupted(turn, null);
  } else if (frame.action === "STOP_ACK") {
    turns.interrupted(turn, frame.heardText ?? null);
  }
  refresh(turn);
}

/** Latencies stand under the turn; they change without it. @param {number} turn */
function refresh(turn) {
  const entry = turns.find(turn);
  if (entry) conversation.show(entry);
}

/** @param {"input"|"output"} which @param {import("./connection.js").ConnectionState} connection */
function connectionChanged(which, connection) {
  state.connection[which] = connection;
  if (which === "output" && connection !== "connected") historySync.outputLost();
  stage.setConnection(state.connection.input, state.connection.output);
}

const frameRate = new FrameRateGovernor();
let mouthShape = closedMouth();
let drawnAt = performance.now();

/** @param {number} now ms, as of performance.now() */
function draw(now) {
  requestAnimationFrame(draw);
  if (!frameRate.shouldDraw(now)) return;
  const elapsed = Math.min(100, now - drawnAt);
  drawnAt = now;
  const position = playback.position();
  mouthShape = smoothMouthShape(mouthShape, mouthShapeAt(position), elapsed);
  character.draw(now, elapsed, {
    phase: state.phase,
    mouth: mouthShape,
    loudness: position?.sounding ? position.segment.chunk.loudness : 0,
    attentive: composer.writing,
  });
  // A whole file is spoken after its text; so is a slow voice.
  captions.draw(turns.latest, position, now, state.turn === turns.latest?.turn && onStage());
  composer.setBusy(busy());
}
requestAnimationFrame(draw);

publish({ state, playback, clock, captions, turns, latencies, microphone, mouth: () => mouthShape });
