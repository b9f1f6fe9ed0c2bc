{{- define "vtuber.gateway" -}}
{{- $v := .Values.gateway -}}
name: gateway
port: 8000
flags: true
clientOf: [input-handler, output-handler, redis]
preStop: 5
drain: {{ $v.drainSeconds }}
env:
  PORT: "8000"
  INPUT_HANDLER_URL: http://{{ include "vtuber.name" (list . "input-handler") }}:8001
  OUTPUT_HANDLER_URL: http://{{ include "vtuber.name" (list . "output-handler") }}:8002
  {{- with $v.allowedOrigins }}
  ALLOWED_ORIGINS: {{ join "," . | quote }}
  {{- end }}
{{- end }}
