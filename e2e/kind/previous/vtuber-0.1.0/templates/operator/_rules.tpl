{{/* What docs/operator-rbac.md lists, and nothing else: `watched` where VtuberSessions are, `own` where the operator is. */}}
{{- define "vtuber.operatorRules.watched" -}}
- apiGroups: [vtuber.dev]
  resources: [vtubersessions]
  verbs: [list, watch]
- apiGroups: [vtuber.dev]
  resources: [vtubersessions/status]
  verbs: [patch]
# Who has to acknowledge flags.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Keys of models and voices. The operator asks for those labelled vtuber.dev/session-key only; RBAC knows no labels.
- apiGroups: [""]
  resources: [secrets]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* Server-side apply asks for both verbs by name, for what is there and for what is not yet. */}}
{{- define "vtuber.operatorRules.own" -}}
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [{{ include "vtuber.flagsConfigMap" . }}]
  verbs: [create, patch]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "vtuber.sessionKeysSecret" . }}]
  verbs: [create, patch]
{{- end }}
