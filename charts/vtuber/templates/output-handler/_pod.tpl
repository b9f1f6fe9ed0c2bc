{{- define "vtuber.output-handler" -}}
name: output-handler
port: 8002
flags: true
clientOf: [redis]
preStop: 5
drain: {{ .Values.outputHandler.drainSeconds }}
env:
  PORT: "8002"
  FIRST_ENGINE_TIMEOUT_S: "20"
{{- end }}
