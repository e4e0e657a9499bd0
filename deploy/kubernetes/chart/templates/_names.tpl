{{/* Names, labels and small parts that every object needs. */}}

{{- define "exeat.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}

{{- define "exeat.selector" -}}
app.kubernetes.io/name: exeat
app.kubernetes.io/instance: {{ include "exeat.name" . }}
{{- end }}

{{- define "exeat.labels" -}}
{{ include "exeat.selector" . }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "exeat.image" -}}
{{- $tag := .Values.image.tag | default (ternary "" .Chart.AppVersion (ne .Values.image.digest "")) -}}
{{ .Values.image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* "yes" where objects of a topology are wanted: {"root": ., "topology": "gateway"}. Not while a patch is printed. */}}
{{- define "exeat.is" -}}
{{- if and (eq .root.Values.topology .topology) (not .root.Values.sidecar.patch.name) }}yes{{ end }}
{{- end }}

{{/* Whole seconds of a duration such as 90s, 2m or 1h. */}}
{{- define "exeat.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600) $unit) -}}
{{- end }}

{{/* Listeners of an exeat that pods reach, for a port: {"root": ., "port": 3128}. `[::]` takes both families. */}}
{{- define "exeat.everywhere" -}}
{{- if has "IPv6" .root.Values.ipFamilies }}[::]:{{ .port }}{{ else }}0.0.0.0:{{ .port }}{{ end }}
{{- end }}

{{/* A list of strings as TOML and JSON both have it. */}}
{{- define "exeat.strings" -}}
[{{ range $at, $one := . }}{{ if $at }}, {{ end }}{{ $one | quote }}{{ end }}]
{{- end }}

{{/* Peers of a network policy: every pod, or those with labels, of namespaces: {"namespaces": […], "podLabels": {…}}. */}}
{{- define "exeat.peers" -}}
- namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ include "exeat.strings" .namespaces }}}
  {{- with .podLabels }}
  podSelector:
    matchLabels: {{ toYaml . | nindent 6 }}
  {{- end }}
{{- end }}

{{- define "exeat.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "exeat.allowlists" -}}
{{ .Values.allowlistsConfigMap | default (printf "%s-allowlists" (include "exeat.name" .)) }}
{{- end }}
