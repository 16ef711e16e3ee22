{{/* Items of the application's initContainers: the gateway as a native sidecar. */}}
{{- define "aimis-gateway.sidecar" -}}
- {{- include "aimis-gateway.container" . | nindent 2 }}
  # Starts before the application and stops after it.
  restartPolicy: Always
  # No readiness probe: it would take the application's pod out of its Service. No preStop: hooks run when the pod is
  # deleted, before the application has stopped.
  ports:
    # The LAN side is on the pod's loopback, for this pod alone.
    - {name: aimis-telemetry, containerPort: 9464}
  resources:
    {{- toYaml .Values.sidecar.resources | nindent 4 }}
  volumeMounts:
    {{- include "aimis-gateway.mounts" . | nindent 4 }}
{{- end -}}

{{/* Items of the application's volumes. */}}
{{- define "aimis-gateway.sidecarVolumes" -}}
{{- include "aimis-gateway.volumes" (dict "root" . "role" "sidecar") -}}
{{- end -}}
