{{/* Values that contradict, each with what to do about it; all at once. */}}

{{- define "exeat.refuse" -}}
{{- $wrong := concat (include "exeat.wrong.always" . | fromYamlArray) (ternary (include "exeat.wrong.gateway" .) (include "exeat.wrong.sidecar" .) (eq .Values.topology "gateway") | fromYamlArray) -}}
{{- if $wrong }}{{ fail (printf "\n\nvalues that do not go together:\n  - %s\n" (join "\n  - " $wrong)) }}{{ end -}}
{{- end }}

{{- define "exeat.wrong.always" -}}
{{- $wrong := list -}}
{{- if not .Values.image.repository -}}
{{- $wrong = append $wrong "image.repository is not set: push the image of deploy/Dockerfile to a registry of yours, and name it" -}}
{{- end -}}
{{- if and (not .Values.allowlists) (not .Values.allowlistsConfigMap) -}}
{{- $wrong = append $wrong "no allowlists: every attempt would be refused; set allowlists.AGENT to the text of its file, or allowlistsConfigMap" -}}
{{- end -}}
{{- if and .Values.allowlists .Values.allowlistsConfigMap -}}
{{- $wrong = append $wrong "allowlists and allowlistsConfigMap are both set: keep one of them" -}}
{{- end -}}
{{- range $agent, $text := .Values.allowlists -}}
{{- if not (regexMatch (printf "(?m)^\\s*agent\\s*=\\s*[\"']%s[\"']" $agent) $text) -}}
{{- $wrong = append $wrong (printf "allowlists.%s does not say agent = %q: the key is the agent's name" $agent $agent) -}}
{{- end -}}
{{- end -}}
{{- if not .Values.agents.namespaces -}}
{{- $wrong = append $wrong "agents.namespaces is empty: nobody would be led to exeat; name the namespaces that hold agents" -}}
{{- end -}}
{{- if and (has .Release.Namespace .Values.agents.namespaces) (eq .Values.topology "gateway") -}}
{{- $wrong = append $wrong (printf "agents.namespaces has %s, where exeat itself is: install exeat into a namespace of its own" .Release.Namespace) -}}
{{- end -}}
{{- if and (not .Values.verify.enabled) (not .Values.networkPolicy.enabled) -}}
{{- $wrong = append $wrong "networkPolicy.enabled and verify.enabled are both false: agents may go round exeat and nobody would notice; enable one, best both" -}}
{{- end -}}
{{- if and .Values.verify.enabled (not .Values.verify.listed) -}}
{{- $wrong = append $wrong "verify.listed is empty: a cluster without any network would pass; name a URL that an agent's allowlist lists, or set verify.enabled=false" -}}
{{- end -}}
{{- if and .Values.inspection.enabled (not .Values.inspection.caSecret) -}}
{{- $wrong = append $wrong "inspection.enabled without inspection.caSecret: make an authority with `exeat ca init`, put ca.pem and ca.key into a Secret, and name it" -}}
{{- end -}}
{{- if and (not .Values.inspection.enabled) .Values.inspection.caSecret -}}
{{- $wrong = append $wrong "inspection.caSecret is set and inspection.enabled is false: nothing would be looked into; enable it, or take the Secret away" -}}
{{- end -}}
{{- $leaves := add (include "exeat.seconds" .Values.drain.notice | int64) (include "exeat.seconds" .Values.drain.time | int64) -}}
{{- if and (eq .Values.topology "gateway") (le (.Values.terminationGracePeriodSeconds | int64) $leaves) -}}
{{- $wrong = append $wrong (printf "terminationGracePeriodSeconds is %v and drain.notice and drain.time take %vs: exeat would be killed before its journal is sealed; set it to %v or more, or drain less" .Values.terminationGracePeriodSeconds $leaves (add $leaves 10)) -}}
{{- end -}}
{{- $volume := regexFind "^[0-9]+" .Values.storage.size | int64 | mul (ternary 1024 1 (hasSuffix "Ti" .Values.storage.size)) -}}
{{- $journal := regexFind "^[0-9]+" .Values.journal.max | int64 -}}
{{- if and (hasSuffix "GiB" .Values.journal.max) (ge $journal $volume) -}}
{{- $wrong = append $wrong (printf "journal.max %s does not fit a volume of %s: it would fill, and every attempt be refused; make storage.size larger or journal.max smaller" .Values.journal.max .Values.storage.size) -}}
{{- end -}}
{{- range .Values.networkPolicy.reach -}}
{{- if or (regexMatch "^(169\\.254\\.|(?i)fe[89ab][0-9a-f]:|(?i)fd00:ec2:)" .) (regexMatch "/[0-7]$" .) (regexMatch "^(169\\.[0-9.]+/([89]|1[0-5])$|100\\.100\\.100\\.200|(?i)f[cde][0-9a-f]*:.*/([89]|[1-3][0-9]|4[0-7])$|(?i)fd00:0ec2:)" .) -}}
{{- $wrong = append $wrong (printf "networkPolicy.reach has %s, which holds metadata services or the whole world: leave it out, and name the ranges that exeat is to reach" .) -}}
{{- end -}}
{{- end -}}
{{- $own := regexFindAll "(?m)^\\s*\\[\\s*[\"']?(listen|admin|metrics|drain|journal|inspect|dns|guard)\\b" .Values.extraConfig -1 -}}
{{- range $own -}}
{{- $wrong = append $wrong (printf "extraConfig has a table %s…]: the chart writes it; use the value of that name, and admin.enabled with operators.namespaces for the admin port" (trim .)) -}}
{{- end -}}
{{- toYaml $wrong -}}
{{- end }}

{{- define "exeat.wrong.gateway" -}}
{{- $wrong := list -}}
{{- $six := contains ":" .Values.service.clusterIP -}}
{{- if not .Values.service.clusterIP -}}
{{- $wrong = append $wrong "service.clusterIP is not set: agents have no DNS and are told an address; choose a free one of the cluster's service range" -}}
{{- else if ne $six (eq (first .Values.ipFamilies) "IPv6") -}}
{{- $wrong = append $wrong (printf "service.clusterIP %s is not of the first family in ipFamilies, %s: change one of them" .Values.service.clusterIP (first .Values.ipFamilies)) -}}
{{- end -}}
{{- if and (gt (.Values.replicas | int) 1) .Values.approvals.enabled -}}
{{- $wrong = append $wrong (printf "replicas is %v with approvals.enabled: a question lives in the replica that asked it, and a yes would be found in one of them only; set approvals.enabled=false, or replicas=1" .Values.replicas) -}}
{{- end -}}
{{- if and .Values.admin.enabled (not .Values.approvals.enabled) -}}
{{- $wrong = append $wrong "admin.enabled with approvals.enabled=false: there is nothing to answer; disable the one or enable the other" -}}
{{- end -}}
{{- if and .Values.admin.enabled (not .Values.operators.namespaces) -}}
{{- $wrong = append $wrong "admin.enabled without operators.namespaces: page and API would be open to no one or to everyone; name the namespaces people come from, or leave it off and use kubectl exec" -}}
{{- end -}}
{{- if and .Values.admin.enabled (not .Values.networkPolicy.enabled) -}}
{{- $wrong = append $wrong "admin.enabled with networkPolicy.enabled=false: every pod could reach page and API; enable networkPolicy, or leave admin off and use kubectl exec" -}}
{{- end -}}
{{- range .Values.agents.namespaces -}}
{{- if and (has . $.Values.operators.namespaces) $.Values.admin.enabled -}}
{{- $wrong = append $wrong (printf "%s is in agents.namespaces and in operators.namespaces: agents would reach page and API; people come from another namespace" .) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.monitoring.serviceMonitor (not .Values.monitoring.namespaces) .Values.networkPolicy.enabled -}}
{{- $wrong = append $wrong "monitoring.serviceMonitor without monitoring.namespaces: Prometheus could not reach port 9464; name the namespace it runs in" -}}
{{- end -}}
{{- if or .Values.sidecar.redirect.enabled .Values.sidecar.agent .Values.sidecar.patch.name -}}
{{- $wrong = append $wrong "values of sidecar are set in a gateway: set topology=sidecar, or take them away" -}}
{{- end -}}
{{- toYaml $wrong -}}
{{- end }}

{{- define "exeat.wrong.sidecar" -}}
{{- $wrong := list -}}
{{- if and .Values.sidecar.redirect.enabled (not .Values.admissionPolicy.enabled) -}}
{{- $wrong = append $wrong "sidecar.redirect.enabled without admissionPolicy.enabled: an agent that asks for exeat's uid, NET_ADMIN or NET_RAW goes past the redirect; enable it" -}}
{{- end -}}
{{- if not .Values.sidecar.agent -}}
{{- $wrong = append $wrong "sidecar.agent is not set: whose allowlist binds the pods?" -}}
{{- else if and .Values.allowlists (not (hasKey .Values.allowlists .Values.sidecar.agent)) -}}
{{- $wrong = append $wrong (printf "sidecar.agent is %s, and allowlists has no such key: add it, or name one that is there" .Values.sidecar.agent) -}}
{{- end -}}
{{- if and .Values.sidecar.redirect.enabled (not .Values.sidecar.redirect.image) -}}
{{- $wrong = append $wrong "sidecar.redirect.enabled without sidecar.redirect.image: exeat's image has no nft; name an image of yours that has" -}}
{{- end -}}
{{- if and (not .Values.sidecar.redirect.enabled) .Values.verify.enabled -}}
{{- $wrong = append $wrong "a sidecar without sidecar.redirect enforces nothing, as the agent shares its network, and verify would find that: enable it, or set verify.enabled=false and know that exeat only advises" -}}
{{- end -}}
{{- if or .Values.admin.enabled (gt (.Values.replicas | int) 1) .Values.service.clusterIP -}}
{{- $wrong = append $wrong "admin, replicas and service are of a gateway: a sidecar is answered by kubectl exec; take them away, or set topology=gateway" -}}
{{- end -}}
{{- if or .Values.monitoring.serviceMonitor .Values.monitoring.namespaces -}}
{{- $wrong = append $wrong "a sidecar's metrics are on loopback, where agents cannot publish them: have it push them, extraConfig with [telemetry] otlp; monitoring.prometheusRule may stay" -}}
{{- end -}}
{{- toYaml $wrong -}}
{{- end }}
