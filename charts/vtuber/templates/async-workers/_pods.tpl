{{/* The workers: component → its section under `asyncWorkers`, argument of the image, port. */}}
{{- define "vtuber.async-workers" -}}
{{- if .Values.asyncWorkers.enabled -}}
ltm-worker: { section: ltm, worker: ltm, port: 8205 }
analytics-worker: { section: analytics, worker: analytics, port: 8206 }
{{- end }}
{{- end }}

{{/* (list root component) → what vtuber.deployment takes, without root and values. */}}
{{- define "vtuber.async-worker" -}}
{{- $root := index . 0 -}}{{- $name := index . 1 -}}
{{- $component := get (include "vtuber.async-workers" $root | fromYaml) $name -}}
{{- $v := get $root.Values.asyncWorkers $component.section -}}
name: {{ $name }}
port: {{ $component.port }}
arguments: [{{ $component.worker }}]
clientOf: [redis{{ if eq $name "ltm-worker" }}, long-term-memory{{ end }}]
# It takes its work from a stream; what it does not acknowledge is delivered again.
preStop: 0
drain: {{ $v.drainSeconds }}
env:
  PORT: {{ $component.port | quote }}
  CLAIM_AFTER_S: {{ $v.claimAfterSeconds | quote }}
  {{- if eq $name "ltm-worker" }}
  LONG_TERM_MEMORY_URL: http://{{ include "vtuber.name" (list $root "long-term-memory") }}:8204
  {{- else }}
  ANALYTICS_DB: /var/lib/vtuber/analytics.db
  ANALYTICS_RETENTION_DAYS: {{ $v.retentionDays | quote }}
  {{- end }}
{{- if eq $name "analytics-worker" }}
mounts:
  - { name: data, mountPath: /var/lib/vtuber }
{{- if not $v.persistence.enabled }}
volumes:
  - name: data
    emptyDir: { sizeLimit: 1Gi }
{{- end }}
{{- end }}
{{- end }}
