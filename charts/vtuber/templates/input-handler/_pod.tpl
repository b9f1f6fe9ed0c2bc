{{- define "vtuber.input-handler" -}}
{{- $v := .Values.inputHandler -}}
name: input-handler
port: 8001
flags: true
clientOf: [dialog-engine, output-handler, redis{{ if .Values.microphone.enabled }}, asr{{ end }}]
preStop: 5
drain: {{ $v.drainSeconds }}
env:
  PORT: "8001"
  LEGACY_ENABLED: {{ .Values.legacy.enabled | quote }}
  {{- if not .Values.legacy.enabled }}
  # Nobody else would answer while the engine is being rolled: its drain, and the start of its successor.
  ENGINE_UNAVAILABLE_WAIT_S: "{{ min 110 (add (mul 2 .Values.dialogEngine.drainSeconds) 20) }}"
  {{- end }}
  {{- $engine := include "vtuber.name" (list . "dialog-engine") }}
  {{- if eq 1 (int .Values.dialogEngine.replicas) }}
  DIALOG_ENGINE_URLS: http://{{ $engine }}:8100
  {{- else }}
  {{- $urls := list }}
  {{- range $ordinal := until (int .Values.dialogEngine.replicas) }}
  {{- $urls = append $urls (printf "http://%s-%d.%s-pods:8100" $engine $ordinal $engine) }}
  {{- end }}
  DIALOG_ENGINE_URLS: {{ join "," $urls | quote }}
  {{- end }}
  DIALOG_ENGINE_PATTERN: "http://{{ $engine }}-{}.{{ $engine }}-pods:8100"
  OUTPUT_HANDLER_URL: http://{{ include "vtuber.name" (list . "output-handler") }}:8002
  {{- if .Values.microphone.enabled }}
  ASR_URL: ws://{{ include "vtuber.name" (list . "asr") }}:8101/ws/asr
  {{- end }}
  {{- range $flag, $on := .Values.flags }}
  {{ $flag }}: {{ $on | quote }}
  {{- end }}
{{- end }}
