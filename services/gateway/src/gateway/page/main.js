// @ts-check
/**
 * Creates the parts of the page and connects them.
 *
 * Events of the input socket, and frames and audio of the output socket, update the turns, the
 * playback and the stage. Once per animation frame the playback position is read, and the character
 * and the captions are drawn for it.
 */

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
import { LiveRegion } from "./live-region.js";
import { Microphone } from "./microphone.js";
import { MicrophonePanel } from "./microphone-panel.js";
import { Output } from "./output.js";
import { OwnMessages } from "./own-messages.js";
import { Playback } from "./playback.js";
import { currentSession, SessionDialog } from "./sessions.js";
import { Stage } from "./stage.js";
import { Turns } from "./turn.js";
import { VolumeControl } from "./volume.js";

/** For a notice that explains a solution and takes longer to read. */
const LONG_NOTICE_MS = 20_000;

/** @template {HTMLElement} T @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));

language.apply(document);
element("language").addEventListener("click", () => language.toggle());

const sessionId = currentSession();
document.title = `${sessionId} · VTuber`;
new SessionDialog(element("session"), element("sessions"), sessionId);

const state = { phase: "IDLE", turn: 0, userSpeaking: false, connection: { input: "connecting", output: "connecting" } };
const ownMessages = new OwnMessages(sessionId);
const latencies = new Latencies();
const liveRegion = new LiveRegion(element("live-region"));
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
    liveRegion.announceTurn(turn);
  },
  (turn) => conversation.remove(turn),
  (record) => ownMessages.has(record),
);
new Greeting(element("empty"), (text) => say(text));

const clock = new Clock();
const playback = new Playback(clock, {
  onPlayed: (turn, offsetMs) => output.reportPlayed(turn, offsetMs, Boolean(turns.find(turn)?.requestId)),
  onFirstSound: (turn, at) => {
    latencies.firstAudio(turn, at);
    renderTurn(turn);
  },
  onState: (audio) => stage.setAudioBlocked(audio !== "running"),
});
stage.setAudioBlocked(playback.state !== "running");
new VolumeControl(element("volume"), (volume) => playback.setVolume(volume));
for (const gesture of ["pointerdown", "keydown"]) addEventListener(gesture, () => playback.unlock(), { capture: true, passive: true });

const composer = new Composer(element("composer"), { onSay: say, onStop: stop });

const output = new Output(sessionId, clock, {
  onFrame: handleOutputFrame,
  onChunk: (chunk) => playback.addChunk(chunk),
  onClockSample: () => playback.placeWaiting(),
  onState: (connection) => handleConnection("output", connection),
});
const input = new Input(sessionId, {
  onEvent: handleTurnEvent,
  onError: (requestId, code) => {
    if (requestId) turns.failed(requestId, 0, code);
    else stage.notice(language.error(code));
    // No service receives the audio, so the button must not show an active microphone.
    if (code === "asr_unavailable" || code === "no_model") microphone.off();
  },
  onState: (connection) => handleConnection("input", connection),
  onSpeech: handleSpeechFrame,
});

const microphone = new Microphone({
  onFrame: (pcm) => input.sendAudio(pcm),
  onState: (microphoneState) => {
    microphonePanel.setState(microphoneState);
    if (microphoneState === "on") {
      input.startMicrophone(microphone.sampleRate);
      if (!microphone.echoCancelled) stage.notice(language.text("micTurns"));
    } else {
      input.stopMicrophone();
      if (microphoneState === "denied" || microphoneState === "missing") stage.notice(language.text(microphoneState === "denied" ? "micDenied" : "micMissing"));
      if (microphoneState === "insecure") stage.notice(language.text("micInsecure"), LONG_NOTICE_MS);
    }
  },
  replySounding: () => audibleTurn() !== null,
});
const microphonePanel = new MicrophonePanel(element("composer"), {
  onToggle: () => {
    playback.unlock();
    if (microphone.state === "on") microphone.off();
    else microphone.on();
  },
});

const historySync = new HistorySync(sessionId, turns, {
  onFailed: () => stage.notice(language.text("historyFailed")),
  isLive: ({ turn, requestId }) => input.isPending(requestId) || (turn === state.turn && isTurnActive()),
});
historySync.load();

/** @param {string} text */
function say(text) {
  const now = performance.now();
  playback.unlock();
  // A new message interrupts the turn that sounds; the time to silence is measured as for STOP.
  const sounding = audibleTurn();
  if (sounding) latencies.stopPressed(sounding, now);
  const requestId = input.sendText(text, language.detect(text));
  latencies.sent(requestId, now);
  ownMessages.addRequest(requestId);
  turns.sent(requestId, text);
  conversation.scrollToEnd();
}

function stop() {
  if (!isBusy()) return;
  const turn = audibleTurn() ?? state.turn;
  latencies.stopPressed(turn, performance.now());
  if (!output.stop(turn || null)) stage.notice(language.text("reconnecting"));
}

/** The turn that sounds, or will sound next; null without any. */
function audibleTurn() {
  const position = playback.position();
  return position && (position.sounding || position.next) ? position.turn : null;
}

function isTurnActive() {
  return state.phase === "THINKING" || state.phase === "SPEAKING";
}

function isBusy() {
  return isTurnActive() || audibleTurn() !== null;
}

/** @param {import("./input.js").TurnEvent} event */
function handleTurnEvent({ requestId, turn, event, data }) {
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

/** @param {{type: string, text?: string, turn?: number}} frame about the speech at this window's microphone */
function handleSpeechFrame({ type, text = "", turn = 0 }) {
  state.userSpeaking = type === "SPEECH_STARTED" || type === "PARTIAL";
  microphonePanel.showTranscript(type === "PARTIAL" ? text : "");
  if (type === "FINAL") {
    turns.transcribed(turn, text);
    ownMessages.addTurn(turn, text);
    conversation.scrollToEnd();
  }
  showPhase();
}

/** While the user speaks, the phase is LISTENING, whatever phase the turn is in. */
function showPhase() {
  stage.setPhase(state.userSpeaking ? "LISTENING" : state.phase);
}

/** @param {any} frame */
function handleOutputFrame(frame) {
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
    // A few lost chunks sound like a short pause at most; a notice would disturb more.
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
    const silentAt = playback.flush(turn ?? state.turn);
    if (silentAt !== null) latencies.silenced(turn, silentAt);
    turns.interrupted(turn, null);
  } else if (frame.action === "STOP_ACK") {
    turns.interrupted(turn, frame.heardText ?? null);
  }
  renderTurn(turn);
}

/** Needed after each frame: latencies are shown below the turn and change without it. @param {number} turn */
function renderTurn(turn) {
  const entry = turns.find(turn);
  if (entry) conversation.show(entry);
}

/** @param {"input"|"output"} which @param {import("./connection.js").ConnectionState} connection */
function handleConnection(which, connection) {
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
    userTyping: composer.typing,
  });
  // Audio is pending while the newest turn is active: it may arrive after the text is complete.
  captions.draw(turns.latest, position, now, state.turn === turns.latest?.turn && isTurnActive());
  composer.setBusy(isBusy());
}
requestAnimationFrame(draw);

publish({ state, playback, clock, captions, turns, latencies, microphone, mouth: () => mouthShape });
