{{/* A headless Service of the telemetry port alone, so that the one for callers does not show it. */}}
{{- define "aimis-gateway.telemetryService" }}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "aimis-gateway.fullname" .root }}-{{ .role }}-telemetry
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "aimis-gateway.labels" . | nindent 4 }}
    aimis-gateway/telemetry: "true"
spec:
  clusterIP: None
  # Scraped while it is not ready, too: that is when one wants to see.
  publishNotReadyAddresses: true
  selector:
    {{- include "aimis-gateway.selector" . | nindent 4 }}
  ports:
    - {name: aimis-telemetry, port: 9464, targetPort: aimis-telemetry}
{{- end }}
