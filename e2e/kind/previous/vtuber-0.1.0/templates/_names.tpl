{{/* Names and labels. A component's name is its folder, its image and its Service. */}}

{{- define "vtuber.fullname" -}}
{{- $name := .Values.nameOverride | default .Release.Name -}}
{{- if contains "vtuber" $name }}{{ $name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-vtuber" $name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end }}

{{/* (list root component) */}}
{{- define "vtuber.name" -}}
{{ include "vtuber.fullname" (index . 0) }}-{{ index . 1 }}
{{- end }}

{{- define "vtuber.selector" -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
{{- end }}

{{- define "vtuber.labels" -}}
{{- $root := index . 0 -}}
{{ include "vtuber.selector" . }}
app.kubernetes.io/part-of: vtuber
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* Without the chart's version: a new chart alone must not restart anybody. */}}
{{- define "vtuber.podLabels" -}}
{{ include "vtuber.selector" . }}
app.kubernetes.io/part-of: vtuber
{{- end }}

{{/* (list root image): a tag that holds a digest after "@", as skaffold gives it, is right as it is. */}}
{{- define "vtuber.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- with $root.Values.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}:{{ $image.tag | default $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- define "vtuber.flagsConfigMap" -}}{{ include "vtuber.fullname" . }}-flags{{- end }}
{{- define "vtuber.sessionKeysSecret" -}}{{ include "vtuber.fullname" . }}-session-keys{{- end }}
{{- define "vtuber.ownRedis" -}}
{{- if not (or .Values.redis.external.url .Values.redis.external.urlSecret.name) }}true{{ end -}}
{{- end }}
