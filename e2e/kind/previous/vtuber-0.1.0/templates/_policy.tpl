{{/*
Who may talk to whom. A pod may talk to component X when it carries the label vtuber.dev/client-of-X, so the labels of the pods
and these rules together read as the data flow.
*/}}
{{- define "vtuber.fromClients" -}}
{{- $root := index . 0 -}}{{- $to := index . 1 -}}{{- $port := index . 2 -}}
# {{ $to }} ◄── its clients
- from:
    - podSelector:
        matchLabels:
          app.kubernetes.io/instance: {{ $root.Release.Name }}
          vtuber.dev/client-of-{{ $to }}: "true"
  ports: [{ port: {{ $port }}, protocol: TCP }]
{{- end }}

{{- define "vtuber.fromMetrics" -}}
{{- $root := index . 0 -}}{{- $port := index . 1 -}}
{{- with $root.Values.networkPolicy.metricsFrom }}
- from: {{- toYaml . | nindent 4 }}
  ports: [{ port: {{ $port }}, protocol: TCP }]
{{- end }}
{{- end }}

{{- define "vtuber.toNames" -}}
- ports: [{ port: 53, protocol: UDP }, { port: 53, protocol: TCP }]
{{- end }}

{{- define "vtuber.toComponent" -}}
{{- $root := index . 0 -}}{{- $from := index . 1 -}}{{- $to := index . 2 -}}{{- $port := index . 3 -}}
# {{ $from }} ──► {{ $to }}
- to:
    - podSelector:
        matchLabels: {{- include "vtuber.selector" (list $root $to) | nindent 10 }}
  ports: [{ port: {{ $port }}, protocol: TCP }]
{{- end }}

{{/* A Redis elsewhere has an address that nobody here knows: then TCP to anywhere is allowed. */}}
{{- define "vtuber.toRedis" -}}
{{- $root := index . 0 -}}
{{- if include "vtuber.ownRedis" $root }}
{{- include "vtuber.toComponent" (list $root (index . 1) "redis" 6379) }}
{{- else -}}
# {{ index . 1 }} ──► Redis elsewhere
- to: [{ ipBlock: { cidr: 0.0.0.0/0 } }, { ipBlock: { cidr: "::/0" } }]
{{- end }}
{{- end }}
