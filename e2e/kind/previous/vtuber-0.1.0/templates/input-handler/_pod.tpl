{{- define "vtuber.input-handler" -}}
{{- $v := .Values.inputHandler -}}
name: input-handler
port: 8001
flags: true
clientOf: [dialog-engine, redis]
preStop: 5
drain: {{ $v.drainSeconds }}
env:
  PORT: "8001"
  # An engine that is being rolled: its drain, and the start of its successor.
  ENGINE_WAIT_S: "{{ min 110 (add (mul 2 .Values.dialogEngine.drainSeconds) 20) }}"
  DIALOG_ENGINE_URL: http://{{ include "vtuber.name" (list . "dialog-engine") }}:8100
  {{- range $flag, $on := .Values.flags }}
  {{ $flag }}: {{ $on | quote }}
  {{- end }}
{{- end }}
