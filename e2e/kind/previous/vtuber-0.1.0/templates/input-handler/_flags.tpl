{{/* An illegal set of flags would keep input-handler from starting; said here it costs nobody a rollout. */}}
{{- define "vtuber.legalFlags" -}}
{{- $needs := dict
      "SYNC_TTS_STREAMING" "ENABLE_SYNC_CORE"
      "SYNC_TTS_BARGE_IN" "SYNC_TTS_STREAMING"
      "ENABLE_STREAMS_OUTBOX" "ENABLE_SYNC_CORE"
      "ENABLE_LTM" "ENABLE_STREAMS_OUTBOX" -}}
{{- range $flag, $needed := $needs -}}
{{- if and (get $.Values.flags $flag) (not (get $.Values.flags $needed)) -}}
{{- fail (printf "flags.%s needs flags.%s: turn %s on as well, or %s off." $flag $needed $needed $flag) -}}
{{- end -}}
{{- end -}}
{{- end }}
