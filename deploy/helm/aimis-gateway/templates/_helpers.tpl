{{- define "aimis-gateway.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "aimis-gateway.fullname" -}}
{{- $name := include "aimis-gateway.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "aimis-gateway.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "aimis-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: aimis-gateway
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Labels that select one workload: dict "root" . "role" "lan"|"callback". */}}
{{- define "aimis-gateway.selector" -}}
app.kubernetes.io/name: {{ include "aimis-gateway.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "aimis-gateway.labels" -}}
{{ include "aimis-gateway.commonLabels" .root }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "aimis-gateway.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "aimis-gateway.fullname" .) -}}
{{- end -}}

{{- define "aimis-gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "aimis-gateway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# The Secret's files are readable for this group alone.
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "aimis-gateway.containerSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Name, image, arguments, probes for starting and living: what every container of the gateway has. */}}
{{- define "aimis-gateway.container" -}}
name: aimis-gateway
image: {{ include "aimis-gateway.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/aimis-gateway/config/gateway.json]
securityContext:
  {{- include "aimis-gateway.containerSecurity" . | nindent 2 }}
startupProbe:
  httpGet: {path: /startupz, port: aimis-telemetry}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: aimis-telemetry}
  periodSeconds: 10
  failureThreshold: 3
{{- end -}}

{{- define "aimis-gateway.mounts" -}}
- name: aimis-gateway-config
  mountPath: /etc/aimis-gateway/config
  readOnly: true
- name: aimis-gateway-secrets
  mountPath: /etc/aimis-gateway/secrets
  readOnly: true
{{- end -}}

{{/* What checkov asks for and these workloads do otherwise, each with its reason. */}}
{{- define "aimis-gateway.checkov" -}}
checkov.io/skip1: "CKV_K8S_11=No CPU limit: it would slow answers down while the node is idle; the request and the memory limit stand"
checkov.io/skip2: "CKV_K8S_43=The registry and the image in it are the hospital's; it pins the digest"
checkov.io/skip3: "CKV_K8S_15=IfNotPresent, so that a pod starts while the registry is down; tags are not reused"
checkov.io/skip4: "CKV2_K8S_6=The NetworkPolicy names the hospital's own addresses: networkPolicy.enabled, components/networkpolicy"
{{- end -}}

{{/* dict "root" . "role" "lan"|"callback"|"sidecar". Directories, never subPath: that would not follow a change. */}}
{{- define "aimis-gateway.volumes" -}}
- name: aimis-gateway-config
  configMap:
    name: {{ include "aimis-gateway.fullname" .root }}-{{ .role }}
- name: aimis-gateway-secrets
  secret:
    secretName: {{ .root.Values.secretName }}
    defaultMode: 0440
{{- end -}}
