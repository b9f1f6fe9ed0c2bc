{{- define "vtuber.gateway" -}}
{{- $v := .Values.gateway -}}
name: gateway
port: 8000
flags: true
clientOf: [input-handler, output-handler, {{ if .Values.asyncWorkers.enabled }}analytics-worker, {{ end }}redis]
preStop: 5
drain: {{ $v.drainSeconds }}
env:
  PORT: "8000"
  INPUT_HANDLER_URL: http://{{ include "vtuber.name" (list . "input-handler") }}:8001
  ANALYTICS_URL: http://{{ include "vtuber.name" (list . "analytics-worker") }}:8206
  {{- with $v.adminTokenSecret }}
  {{- if .name }}
  ADMIN_TOKEN:
    valueFrom: { secretKeyRef: { name: {{ .name | quote }}, key: {{ .key | quote }} } }
  {{- end }}
  {{- end }}
  OUTPUT_HANDLER_URL: http://{{ include "vtuber.name" (list . "output-handler") }}:8002
  {{- $name := include "vtuber.name" (list . "gateway") }}
  {{- $inside := printf "%s.%s" $name .Release.Namespace }}
  {{- $hosts := list $name $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside) }}
  {{- if .Values.ingress.enabled }}{{ with .Values.ingress.host }}{{ $hosts = append $hosts . }}{{ end }}{{ end }}
  ALLOWED_HOSTS: {{ join "," (concat $hosts $v.allowedHosts) | quote }}
  {{- with $v.trustedProxies }}
  TRUSTED_PROXIES: {{ join "," . | quote }}
  {{- end }}
  {{- with $v.allowedOrigins }}
  ALLOWED_ORIGINS: {{ join "," . | quote }}
  {{- end }}
{{- end }}
