{{/* Language model, voice and keys of sessions: the same for the engine and for the legacy chain, so that she is one person on both paths. */}}

{{- define "vtuber.llmEnv" -}}
{{- $v := .Values.dialogEngine -}}
{{- with $v.llm.chain }}
LLM_CHAIN: {{ join "," . | quote }}
{{- end }}
{{- with $v.llm.model }}
LLM_MODEL: {{ . | quote }}
{{- end }}
{{- with $v.llm.baseUrl }}
OPENAI_BASE_URL: {{ . | quote }}
{{- end }}
{{- with $v.llm.apiKeySecret }}
{{- if .name }}
OPENAI_API_KEY:
  valueFrom: { secretKeyRef: { name: {{ .name | quote }}, key: {{ .key | quote }} } }
{{- end }}
{{- end }}
{{- with $v.persona }}
PERSONA: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "vtuber.voiceEnv" -}}
{{- with .Values.dialogEngine.voice.chain }}
VOICE_CHAIN: {{ join "," . | quote }}
{{- end }}
{{- end }}

{{/* What models and voices of the release and of sessions may be reached by and lead to. */}}
{{- define "vtuber.providerEnv" -}}
{{- $v := .Values.dialogEngine -}}
{{- with $v.sessionEgressAllow }}
SESSION_EGRESS_ALLOW: {{ join "," . | quote }}
{{- end }}
{{- with $v.providerProxy }}
PROVIDER_PROXY: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "vtuber.sessionKeysMount" -}}
{ name: session-keys, mountPath: /var/run/vtuber/session-keys, readOnly: true }
{{- end }}

{{/* Gathered by the operator, or absent. */}}
{{- define "vtuber.sessionKeysVolume" -}}
- name: session-keys
  secret: { secretName: {{ include "vtuber.sessionKeysSecret" . }}, optional: true, defaultMode: 0440 }
{{- end }}
