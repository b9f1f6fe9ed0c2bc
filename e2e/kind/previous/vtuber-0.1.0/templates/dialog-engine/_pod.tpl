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
  DIALOG_ENGINE_DB: /var/lib/vtuber/dialog-engine.db
  OUTPUT_INGEST_URLS: ws://{{ include "vtuber.name" (list . "output-handler") }}-pods:8002/ws/ingest/tts
  DRAIN_S: "{{ $v.drainSeconds }}"
  SESSION_KEYS_DIR: /var/run/vtuber/session-keys
  {{- with $v.llm.chain }}
  LLM_CHAIN: {{ join "," . | quote }}
  {{- end }}
  {{- with $v.llm.model }}
  LLM_MODEL: {{ . | quote }}
  {{- end }}
  {{- with $v.llm.baseUrl }}
  OPENAI_BASE_URL: {{ . | quote }}
  {{- end }}
  {{- with $v.llm.apiKeySecret }}
  {{- if .name }}
  OPENAI_API_KEY:
    valueFrom: { secretKeyRef: { name: {{ .name | quote }}, key: {{ .key | quote }} } }
  {{- end }}
  {{- end }}
  {{- with $v.voice.chain }}
  VOICE_CHAIN: {{ join "," . | quote }}
  {{- end }}
  {{- with $v.persona }}
  PERSONA: {{ . | quote }}
  {{- end }}
mounts:
  - { name: data, mountPath: /var/lib/vtuber }
  - { name: session-keys, mountPath: /var/run/vtuber/session-keys, readOnly: true }
volumes:
  # Gathered by the operator, or absent.
  - name: session-keys
    secret: { secretName: {{ include "vtuber.sessionKeysSecret" . }}, optional: true, defaultMode: 0440 }
  {{- if not $v.persistence.enabled }}
  - name: data
    emptyDir: {}
  {{- end }}
{{- end }}
