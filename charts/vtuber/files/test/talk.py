"""`helm test`: a session gets its VtuberSession, somebody says something, a viewer hears the answer, and the session is removed again.

Runs in the operator's image, which has a client of the Kubernetes API and one for WebSockets.
"""

import json
import os
import sys
import threading
import time
import urllib.request
import uuid

import websocket
from kubernetes import client, config

GATEWAY = os.environ["GATEWAY"]
NAMESPACE = os.environ["POD_NAMESPACE"]
APPLY = os.environ["APPLY"] == "true"
AUDIO = os.environ["AUDIO"] == "true"
SESSION = f"helm-test-{uuid.uuid4().hex[:8]}"
READY_WITHIN_S = 120
TURN_WITHIN_S = 30
PLACE = {"group": "vtuber.dev", "version": "v1alpha1", "namespace": NAMESPACE, "plural": "vtubersessions"}


def apply(api: client.CustomObjectsApi) -> None:
    """Create the resource and wait until its flags are in force everywhere."""
    body = {
        "apiVersion": "vtuber.dev/v1alpha1",
        "kind": "VtuberSession",
        "metadata": {"name": SESSION},
        "spec": {"sessionId": SESSION, "flags": {"SYNC_TTS_STREAMING": True}},
    }
    api.create_namespaced_custom_object(body=body, **PLACE)
    deadline = time.monotonic() + READY_WITHIN_S
    said = ""
    while time.monotonic() < deadline:
        found = api.get_namespaced_custom_object(name=SESSION, **PLACE)
        status = found.get("status", {})
        ready = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
        if ready.get("message", "") != said:
            said = ready.get("message", "")
            print(f"VtuberSession {SESSION}: {said}", flush=True)
        if ready.get("status") == "True" and status.get("observedGeneration") == found["metadata"]["generation"]:
            return
        time.sleep(0.5)
    sys.exit(f"VtuberSession {SESSION} was not Ready within {READY_WITHIN_S} s; the operator's log says why")


def say(answers: list[str]) -> None:
    """One turn through the gateway, its text kept."""
    body = {"sessionId": SESSION, "content": "Hello! Who are you?", "meta": {"requestId": str(uuid.uuid4())}}
    request = urllib.request.Request(
        f"http://{GATEWAY}/chat/stream", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TURN_WITHIN_S) as reply:
        for line in reply:
            if line.startswith(b"data:"):
                answers.append(json.loads(line[5:]).get("content", ""))


def hear() -> None:
    """Watch as a viewer does, speak as a speaker does, and count what is heard."""
    socket = websocket.create_connection(f"ws://{GATEWAY}/ws/output/{SESSION}", subprotocols=["vtuber.v2"], timeout=TURN_WITHIN_S)
    time.sleep(0.5)
    answers: list[str] = []
    speaking = threading.Thread(target=say, args=(answers,), daemon=True)
    speaking.start()
    chunks = 0
    while AUDIO:
        frame = json.loads(socket.recv())
        chunks += frame.get("type") == "SPEECH_CHUNK"
        if frame.get("type") == "CONTROL" and frame.get("action") == "END":
            break
    speaking.join(TURN_WITHIN_S)
    socket.close()
    text = "".join(answers)
    print(f"answer: {text}\nheard: {chunks} chunks", flush=True)
    if not text:
        sys.exit("the turn had no text")
    if AUDIO and not chunks:
        sys.exit("the turn had no sound")


def main() -> None:
    """Leave nothing behind, whatever happened."""
    if not APPLY:
        return hear()
    config.load_incluster_config()
    api = client.CustomObjectsApi()
    try:
        apply(api)
        hear()
    finally:
        api.delete_namespaced_custom_object(name=SESSION, **PLACE)
    return None


main()
