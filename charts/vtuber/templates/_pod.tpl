{{/*
The pods, written once. `vtuber.pod` takes a dict:
  root, name (component), values (its section), port, env (name → string, or a map such as valueFrom),
  flags (takes part in flag delivery), clientOf (components it may talk to), drain (seconds, 0: ends at once),
  speech (seconds that voices get after that),
  preStop (seconds that a leaving pod still serves, until nobody sends to it any more),
  serviceAccount, arguments, volumes, mounts (lists).
*/}}

{{- define "vtuber.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "vtuber.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ not .Values.development }}
capabilities: { drop: [ALL] }
{{- end }}

{{- define "vtuber.redisUrl" -}}
{{- if .Values.redis.external.urlSecret.name -}}
valueFrom:
  secretKeyRef: { name: {{ .Values.redis.external.urlSecret.name | quote }}, key: {{ .Values.redis.external.urlSecret.key | quote }} }
{{- else -}}
value: {{ .Values.redis.external.url | default (printf "redis://%s:6379/0" (include "vtuber.name" (list . "redis"))) | quote }}
{{- end -}}
{{- end }}

{{/* What a user sets under extraEnv replaces what the chart sets: a name that came twice would be refused by server-side apply. */}}
{{- define "vtuber.env" -}}
{{- $taken := dict -}}
{{- range .values.extraEnv }}{{ $_ := set $taken .name true }}{{ end -}}
{{- $common := dict
      "HOST" "0.0.0.0"
      "LOG_LEVEL" .root.Values.logLevel
      "REDIS_URL" (include "vtuber.redisUrl" .root | fromYaml)
      "POD_NAME" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
{{- range $name, $value := merge (.env | default dict) $common }}
{{- if not (hasKey $taken $name) }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vtuber.placement" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "vtuber.selector" (list .root .name) | nindent 8 }}
{{- end }}

{{- define "vtuber.clientLabels" -}}
{{- range . }}
vtuber.dev/client-of-{{ . }}: "true"
{{- end }}
{{- end }}

{{- define "vtuber.pod" -}}
{{- $env := merge (.env | default dict) (dict "SHUTDOWN_GRACE_S" .drain) -}}
{{- if .flags }}{{ $_ := set $env "FLAGS_FILE" "/etc/vtuber/flags/flags.json" }}{{ end -}}
metadata:
  labels:
    {{- include "vtuber.podLabels" (list .root .name) | nindent 4 }}
    {{- if .flags }}
    vtuber.dev/flags: "true"
    {{- end }}
    {{- include "vtuber.clientLabels" .clientOf | nindent 4 }}
  {{- with .values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if .serviceAccount }}
  serviceAccountName: {{ .serviceAccount }}
  {{- end }}
  automountServiceAccountToken: {{ not (not .serviceAccount) }}
  # A Service's variables would be read as settings: NAME_PORT, NAME_HOST.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .preStop .drain (.speech | default 0) 5 }}
  securityContext: {{- include "vtuber.podSecurity" . | nindent 4 }}
  containers:
    - name: {{ .name }}
      image: {{ include "vtuber.image" (list .root .values.image) | quote }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      {{- if and .root.Values.development (ne .name "operator") }}
      command: [watchfiles, --filter, python, python -P /app/own/main.py, /app/own]
      {{- end }}
      {{- with .arguments }}
      args: {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext: {{- include "vtuber.containerSecurity" .root | nindent 8 }}
      ports:
        - { name: http, containerPort: {{ .port }} }
      env: {{- include "vtuber.env" (dict "root" .root "values" .values "env" $env) | nindent 8 }}
      resources: {{- toYaml .values.resources | nindent 8 }}
      startupProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 1
        timeoutSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      {{- if .preStop }}
      lifecycle:
        preStop:
          sleep: { seconds: {{ .preStop }} }
      {{- end }}
      volumeMounts:
        - { name: tmp, mountPath: /tmp }
        {{- if .flags }}
        - { name: flags, mountPath: /etc/vtuber/flags, readOnly: true }
        {{- end }}
        {{- with .mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- if .flags }}
    # Written by the operator, or absent: nobody waits for it.
    - name: flags
      configMap: { name: {{ include "vtuber.flagsConfigMap" .root }}, optional: true }
    {{- end }}
    {{- with .volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "vtuber.placement" . | nindent 2 }}
{{- end }}
