{{/* The container, and what it mounts: the same in a gateway and beside an agent. */}}

{{/* What both containers have: environment of credentials, image, security. Takes the root. */}}
{{- define "exeat.container" -}}
image: {{ include "exeat.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/exeat/exeat.toml]
{{- with .Values.secrets.env }}
env:
  {{- range . }}
  - name: {{ .name }}
    valueFrom:
      secretKeyRef: {name: {{ .secret }}, key: {{ .key }}, optional: false}
  {{- end }}
{{- end }}
securityContext:
  runAsUser: 65532
  runAsGroup: 65532
  {{- include "exeat.restricted" . | nindent 2 }}
resources: {{ toYaml .Values.resources | nindent 2 }}
volumeMounts:
  - {name: exeat-config, mountPath: /etc/exeat/exeat.toml, subPath: exeat.toml, readOnly: true}
  - {name: exeat-allowlists, mountPath: /etc/exeat/allowlists, readOnly: true}
  {{- if .Values.floor }}
  - {name: exeat-floor, mountPath: /etc/exeat/floor, readOnly: true}
  {{- end }}
  {{- if .Values.inspection.enabled }}
  - {name: exeat-ca, mountPath: /etc/exeat/ca, readOnly: true}
  {{- end }}
  {{- range .Values.secrets.files }}
  - {name: exeat-secret-{{ . }}, mountPath: /etc/exeat/secrets/{{ . }}, readOnly: true}
  {{- end }}
  - {name: exeat-state, mountPath: /var/lib/exeat}
{{- end }}

{{/* All but the state. A Secret that is not there keeps the pod from starting. */}}
{{- define "exeat.volumes" -}}
- name: exeat-config
  configMap: {name: {{ include "exeat.name" . }}-config}
- name: exeat-allowlists
  configMap: {name: {{ include "exeat.allowlists" . }}}
{{- if .Values.floor }}
- name: exeat-floor
  configMap: {name: {{ include "exeat.name" . }}-floor}
{{- end }}
{{- if .Values.inspection.enabled }}
- name: exeat-ca
  secret:
    secretName: {{ .Values.inspection.caSecret }}
    defaultMode: 0440
    optional: false
    items: [{key: ca.pem, path: ca.pem}, {key: ca.key, path: ca.key}]
{{- end }}
{{- range .Values.secrets.files }}
- name: exeat-secret-{{ . }}
  secret: {secretName: {{ . }}, defaultMode: 0440, optional: false}
{{- end }}
{{- end }}

{{/* Init containers of an agent's pod, first of all: whatever runs before them is not bound. */}}
{{- define "exeat.sidecar.initContainers" -}}
{{- if .Values.sidecar.redirect.enabled }}
- name: exeat-redirect
  image: {{ .Values.sidecar.redirect.image }}
  command: [nft, -f, /etc/exeat-nft/sidecar.nft]
  securityContext:
    runAsUser: 0
    runAsNonRoot: false
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL], add: [NET_ADMIN]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    - {name: exeat-nft, mountPath: /etc/exeat-nft, readOnly: true}
{{- end }}
- name: exeat
  restartPolicy: Always
  {{- include "exeat.container" . | nindent 2 }}
  {{- /* Probes ask on loopback: nothing of a sidecar listens on the pod's address. */}}
  startupProbe:
    exec: {command: [/usr/bin/exeat, doctor, --ready, --config, /etc/exeat/exeat.toml]}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  livenessProbe:
    exec: {command: [/usr/bin/exeat, doctor, --live, --config, /etc/exeat/exeat.toml]}
    periodSeconds: 20
    timeoutSeconds: 5
{{- end }}

{{- define "exeat.sidecar.volumes" -}}
{{- include "exeat.volumes" . }}
- name: exeat-state
  emptyDir: {sizeLimit: {{ .Values.storage.size }}}
{{- if .Values.sidecar.redirect.enabled }}
- name: exeat-nft
  configMap: {name: {{ include "exeat.name" . }}-nft}
{{- end }}
{{- end }}

{{/* What points an agent at its sidecar. */}}
{{- define "exeat.sidecar.env" -}}
{{- $url := ternary "http://[::1]:3128" "http://127.0.0.1:3128" (eq (first .Values.ipFamilies) "IPv6") -}}
{{- range list "HTTP_PROXY" "http_proxy" "HTTPS_PROXY" "https_proxy" "ALL_PROXY" "all_proxy" }}
- {name: {{ . }}, value: {{ $url | quote }}}
{{- end }}
{{- range list "NO_PROXY" "no_proxy" }}
- {name: {{ . }}, value: "localhost,127.0.0.1,::1"}
{{- end }}
- {name: NODE_USE_ENV_PROXY, value: "1"}
- {name: GIT_HTTP_PROXY_AUTHMETHOD, value: basic}
{{- end }}
