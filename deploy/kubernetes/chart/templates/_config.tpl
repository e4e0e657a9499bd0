{{/* exeat.toml of both topologies. */}}

{{- define "exeat.toml" -}}
allowlists = "/etc/exeat/allowlists"
{{- if .Values.floor }}
floor      = "/etc/exeat/floor/floor.toml"
{{- end }}
state      = "/var/lib/exeat/state"
{{ if eq .Values.topology "gateway" }}
[listen.main]
address  = {{ include "exeat.everywhere" (dict "root" . "port" 3128) | quote }}
known_as = {{ include "exeat.known" . }}

[metrics]
address = {{ include "exeat.everywhere" (dict "root" . "port" 9464) | quote }}
{{- if .Values.admin.enabled }}

[admin]
address = {{ include "exeat.everywhere" (dict "root" . "port" 3129) | quote }}
hosts   = {{ include "exeat.strings" .Values.admin.hosts }}
{{- end }}
{{- else }}
[listen.sidecar]
address = {{ include "exeat.loopback" (dict "root" . "port" 3128) }}
agent   = {{ .Values.sidecar.agent | quote }}
{{- if .Values.sidecar.redirect.enabled }}

[listen.redirected]
address     = {{ include "exeat.loopback" (dict "root" . "port" 3130) }}
agent       = {{ .Values.sidecar.agent | quote }}
transparent = true
{{- end }}

[metrics]
address = {{ ternary "[::1]:9464" "127.0.0.1:9464" (eq (first .Values.ipFamilies) "IPv6") | quote }}
{{- end }}

[drain]
notice = {{ .Values.drain.notice | quote }}
time   = {{ .Values.drain.time | quote }}

[journal]
keep = {{ .Values.journal.keep | quote }}
max  = {{ .Values.journal.max | quote }}
{{- if .Values.inspection.enabled }}

[inspect]
ca_cert = "/etc/exeat/ca/ca.pem"
ca_key  = "/etc/exeat/ca/ca.key"
{{- end }}
{{- with .Values.dns.servers }}

[dns]
servers = {{ include "exeat.strings" . }}
{{- end }}
{{- with .Values.guard.never }}

[guard]
never = {{ include "exeat.strings" . }}
{{- end }}
{{- with .Values.extraConfig }}

{{ . | trim }}
{{- end }}
{{ end }}

{{- define "exeat.loopback" -}}
{{- $all := list -}}
{{- range .root.Values.ipFamilies }}{{ $all = append $all (printf (ternary "[::1]:%v" "127.0.0.1:%v" (eq . "IPv6")) $.port) }}{{ end -}}
{{ include "exeat.strings" $all }}
{{- end }}

{{/* Every name and address by which agents could try to reach exeat through itself. */}}
{{- define "exeat.known" -}}
{{- $name := include "exeat.name" . -}}
{{- $all := list -}}
{{- with .Values.service.clusterIP }}{{ $all = append $all (ternary (printf "[%s]" .) . (contains ":" .)) }}{{ end -}}
{{- $services := list $name (printf "%s-pods" $name) -}}
{{- if .Values.admin.enabled }}{{ $services = append $services (printf "%s-admin" $name) }}{{ end -}}
{{- range $services -}}
{{- $all = concat $all (list (printf "%s.%s.svc" . $.Release.Namespace) (printf "%s.%s.svc.%s" . $.Release.Namespace $.Values.clusterDomain)) -}}
{{- end -}}
{{ include "exeat.strings" $all }}
{{- end }}
