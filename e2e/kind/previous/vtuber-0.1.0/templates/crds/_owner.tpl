{{/*
(list root name): whose the CustomResourceDefinition in the cluster is: "" when there is none or nobody can look (helm template), "ours",
"nobody" when kubectl or another tool brought it, or the namespace/name of another release. Rendering another's would end the
install with Helm's ownership error, or take it away from them.
*/}}
{{- define "vtuber.crdOwner" -}}
{{- $root := index . 0 -}}
{{- $found := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 1) -}}
{{- if $found -}}
{{- $notes := $found.metadata.annotations | default dict -}}
{{- $name := get $notes "meta.helm.sh/release-name" -}}
{{- $namespace := get $notes "meta.helm.sh/release-namespace" -}}
{{- if not $name -}}nobody
{{- else if and (eq $name $root.Release.Name) (eq $namespace $root.Release.Namespace) -}}ours
{{- else -}}{{ $namespace }}/{{ $name }}
{{- end -}}
{{- end -}}
{{- end }}
