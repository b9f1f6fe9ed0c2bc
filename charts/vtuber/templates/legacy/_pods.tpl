{{/* The legacy chain: component → its section under `legacy`, port, whether it reads session documents, whom it talks to outside, whether
     others connect to it (asr: microphones). */}}
{{- define "vtuber.legacy-components" -}}
{{- if .Values.legacy.enabled -}}
memory: { section: memory, port: 8201 }
chat-ai: { section: chatAi, port: 8202, flags: true, outside: language models }
tts: { section: tts, port: 8203, flags: true, outside: voices }
{{ end -}}
{{- if or .Values.legacy.enabled .Values.asyncWorkers.enabled }}
long-term-memory: { section: longTermMemory, port: 8204, serves: {{ .Values.asyncWorkers.enabled }} }
{{ end -}}
{{- if or .Values.legacy.enabled .Values.microphone.enabled -}}
asr: { section: asr, port: 8101, serves: true }
{{- end }}
{{- end }}

{{/* (list root component) → what vtuber.deployment takes, without root and values. */}}
{{- define "vtuber.legacy-pod" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- $component := get (include "vtuber.legacy-components" $root | fromYaml) $name -}}
name: {{ $name }}
port: {{ $component.port }}
flags: {{ $component.flags | default false }}
clientOf: [redis]
# It takes its work from a list, and what it does not finish is put back there; a microphone is begun anew elsewhere.
preStop: {{ if $component.serves }}5{{ else }}0{{ end }}
drain: {{ (get $root.Values.legacy $component.section).drainSeconds }}
env:
  PORT: {{ $component.port | quote }}
  {{- if eq $name "asr" }}
  # Empty in an image that was built without models.
  MODELS_DIR: /models
  {{- end }}
  {{- if $component.flags }}
  SESSION_KEYS_DIR: /var/run/vtuber/session-keys
  {{- include "vtuber.llmEnv" $root | nindent 2 }}
  {{- include "vtuber.voiceEnv" $root | nindent 2 }}
  {{- include "vtuber.providerEnv" $root | nindent 2 }}
  {{- end }}
{{- if $component.flags }}
mounts: [{{ include "vtuber.sessionKeysMount" $root }}]
volumes:
  {{- include "vtuber.sessionKeysVolume" $root | nindent 2 }}
{{- end }}
{{- end }}
