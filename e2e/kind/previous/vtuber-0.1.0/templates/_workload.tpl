{{/* A stateless component: Deployment, Service, and what scales and guards it. Takes what `vtuber.pod` takes, and `scales`. */}}
{{- define "vtuber.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "vtuber.name" (list .root .name) }}
  labels: {{- include "vtuber.labels" (list .root .name) | nindent 4 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false .values) }}
  replicas: {{ .values.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    rollingUpdate: { maxSurge: 1, maxUnavailable: 0 }
  selector:
    matchLabels: {{- include "vtuber.selector" (list .root .name) | nindent 6 }}
  template: {{- include "vtuber.pod" . | nindent 4 }}
{{- end }}

{{- define "vtuber.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "vtuber.name" (list .root .name) }}
  labels: {{- include "vtuber.labels" (list .root .name) | nindent 4 }}
spec:
  selector: {{- include "vtuber.selector" (list .root .name) | nindent 4 }}
  ports:
    - { name: http, port: {{ .port }}, targetPort: http }
{{- end }}

{{/* Every pod by its address, for a client that keeps a connection to each. Before they are ready, too: engine and output-handler wait for each other. */}}
{{- define "vtuber.headless" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "vtuber.name" (list .root .name) }}-pods
  labels: {{- include "vtuber.labels" (list .root .name) | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{- include "vtuber.selector" (list .root .name) | nindent 4 }}
  ports:
    - { name: http, port: {{ .port }}, targetPort: http }
{{- end }}

{{- define "vtuber.disruptionBudget" -}}
{{- if .root.Values.podDisruptionBudget.enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "vtuber.name" (list .root .name) }}
  labels: {{- include "vtuber.labels" (list .root .name) | nindent 4 }}
spec:
  maxUnavailable: 1
  # A pod that is broken anyway must not hold up the drain of its node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "vtuber.selector" (list .root .name) | nindent 6 }}
{{- end }}
{{- end }}

{{- define "vtuber.autoscaler" -}}
{{- if .values.autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "vtuber.name" (list .root .name) }}
  labels: {{- include "vtuber.labels" (list .root .name) | nindent 4 }}
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: {{ include "vtuber.name" (list .root .name) }} }
  minReplicas: {{ .values.autoscaling.minReplicas }}
  maxReplicas: {{ .values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource: { name: cpu, target: { type: Utilization, averageUtilization: {{ .values.autoscaling.cpuPercent }} } }
  behavior:
    # Sockets live for hours: pods go one at a time, long after the rush.
    scaleDown:
      stabilizationWindowSeconds: 300
      policies: [{ type: Pods, value: 1, periodSeconds: 60 }]
{{- end }}
{{- end }}

{{- define "vtuber.claim" -}}
metadata: { name: data }
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources: { requests: { storage: {{ .size }} } }
{{- end }}
