{{- define "vtuber.dialog-engine" -}}
{{- $v := .Values.dialogEngine -}}
name: dialog-engine
port: 8100
flags: true
clientOf: [output-handler, redis]
# Alone in its Service, it is sent nothing from the moment it is told to end: a sleep would only lengthen the pause.
preStop: 0
drain: {{ $v.drainSeconds }}
speech: {{ $v.drainSeconds }}
env:
  PORT: "8100"
  # Where there are several, each is called by its own name, which has a dot.
  ALLOWED_HOSTS: "*.{{ include "vtuber.name" (list . "dialog-engine") }}-pods"
  DIALOG_ENGINE_DB: /var/lib/vtuber/dialog-engine.db
  OUTPUT_INGEST_URLS: ws://{{ include "vtuber.name" (list . "output-handler") }}-pods:8002/ws/ingest/tts
  DRAIN_S: "{{ $v.drainSeconds }}"
  # Also where there is one engine: nothing here depends on their number, so that none is rolled when it is changed.
  SESSION_LEASES: "true"
  SESSION_KEYS_DIR: /var/run/vtuber/session-keys
  LEGACY_ENABLED: {{ .Values.legacy.enabled | quote }}
  {{- include "vtuber.llmEnv" . | nindent 2 }}
  {{- include "vtuber.voiceEnv" . | nindent 2 }}
  {{- include "vtuber.providerEnv" . | nindent 2 }}
mounts:
  - { name: data, mountPath: /var/lib/vtuber }
  - {{ include "vtuber.sessionKeysMount" . }}
volumes:
  {{- include "vtuber.sessionKeysVolume" . | nindent 2 }}
  {{- if not $v.persistence.enabled }}
  - name: data
    emptyDir: {}
  {{- end }}
{{- end }}
