{{/*
The gateway's configuration as JSON: what the pod decides, then `config`, then the workload's own. JSON and not TOML,
because toToml writes 8080 as 8080.0. Lists are replaced, not joined.
*/}}
{{- define "aimis-gateway.config" -}}
{{- $root := .root -}}
{{- $config := dict -}}
{{- $own := dict -}}
{{- if eq .role "lan" -}}
  {{- $own = $root.Values.deployment.config -}}
  {{- $config = dict
    "runtime" (dict "workers" 2)
    "lan" (dict "listen" "0.0.0.0:8080")
    "drain" (dict "delay_ms" 5000 "timeout_ms" 20000) -}}
  {{- with $root.Values.deployment.tlsSecretName -}}
    {{- $_ := set $config.lan "tls" (dict "cert_file" "/etc/aimis-gateway/tls/tls.crt" "key_file" "/etc/aimis-gateway/tls/tls.key") -}}
  {{- end -}}
{{- else if eq .role "callback" -}}
  {{- $own = $root.Values.callback.config -}}
  {{- $config = dict
    "runtime" (dict "workers" 1)
    "callback" (dict "listen" "0.0.0.0:8443")
    "inbox" (dict "path" "/var/lib/aimis-gateway/inbox.db" "key_file" "/var/lib/aimis-gateway/keys/inbox.key")
    "drain" (dict "delay_ms" 5000 "timeout_ms" 20000) -}}
  {{- if $root.Values.callback.fetching.enabled -}}
    {{- $_ := set $config "lan" (dict "listen" "0.0.0.0:8080") -}}
  {{- end -}}
  {{- with $root.Values.callback.tlsSecretName -}}
    {{- $_ := set $config.callback "tls" (dict "cert_file" "/etc/aimis-gateway/tls/tls.crt" "key_file" "/etc/aimis-gateway/tls/tls.key") -}}
  {{- end -}}
{{- else -}}
  {{- $own = $root.Values.sidecar.config -}}
  {{- $config = dict
    "runtime" (dict "workers" 1)
    "lan" (dict "listen" "127.0.0.1:8080" "max_connections" 256)
    "drain" (dict "delay_ms" 0 "timeout_ms" 10000) -}}
{{- end -}}
{{- $_ := set $config "telemetry" (dict "listen" "0.0.0.0:9464") -}}
{{- $config = mergeOverwrite $config (deepCopy $root.Values.config) (deepCopy $own) -}}
{{- if ne .role "callback" -}}
  {{- /* What only the callback side has; the gateway would refuse it as without effect. */ -}}
  {{- $config = omit $config "callback" "inbox" "delivery" "pull" "reconcile" -}}
  {{- $tenants := list -}}
  {{- range $config.tenants -}}
    {{- $tenants = append $tenants (omit . "callback") -}}
  {{- end -}}
  {{- $_ := set $config "tenants" $tenants -}}
  {{- $clients := list -}}
  {{- range $config.clients -}}
    {{- $clients = append $clients (omit . "inbox") -}}
  {{- end -}}
  {{- if $clients -}}
    {{- $_ := set $config "clients" $clients -}}
  {{- end -}}
{{- end -}}
{{- if and (ne .role "callback") $config.audit -}}
  {{- fail "audit needs a directory that outlives the pod, and of the workloads here only that of callbacks has one: set it in callback.config (docs/kubernetes.md)" -}}
{{- end -}}
{{- if not $config.tenants -}}
  {{- fail "config.tenants is empty: which hospital is this? See the example in values.yaml" -}}
{{- end -}}
{{- if and (eq .role "lan") (not $config.clients) -}}
  {{- fail "deployment.config.clients is empty: the gateway can be reached from other pods, so say who may ask (docs/connecting-a-his.md); for one application, the sidecar needs no clients" -}}
{{- end -}}
{{- if eq .role "lan" -}}
  {{- $most := ternary $root.Values.deployment.autoscaling.maxReplicas $root.Values.deployment.replicas $root.Values.deployment.autoscaling.enabled -}}
  {{- $tenant := dig "limits" "tenant" dict $config -}}
  {{- if and (gt (int $most) 1) (not (hasKey $tenant "rate_per_s")) -}}
    {{- fail (printf "%d replicas count quotas each for itself: set deployment.config.limits.tenant.rate_per_s (and burst, in_flight) to the contract's quota divided by %d" (int $most) (int $most)) -}}
  {{- end -}}
{{- end -}}
{{- toPrettyJson $config -}}
{{- end -}}

{{/* The ConfigMap of one role. */}}
{{- define "aimis-gateway.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "aimis-gateway.fullname" .root }}-{{ .role }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "aimis-gateway.labels" . | nindent 4 }}
data:
  gateway.json: |
    {{- include "aimis-gateway.config" . | nindent 4 }}
{{- end -}}
