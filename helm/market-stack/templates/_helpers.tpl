{{- define "market-stack.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* First part of every name; the release's alone where it holds the chart's. `-redpanda-console` fits behind it. */}}
{{- define "market-stack.fullname" -}}
{{- $name := include "market-stack.name" . -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What no schema can say: of two values at once. */}}
{{- define "market-stack.checked" -}}
{{- with .Values.s3 }}
{{- if and .lake (not (or .enabled .external.enabled)) }}
{{- fail "s3.lake: needs a bucket: s3.enabled or s3.external.enabled" }}
{{- end }}
{{- end }}
{{- with .Values.prometheus }}
{{- if and .alertmanager.enabled (not .enabled) }}
{{- fail "prometheus.alertmanager.enabled: needs prometheus.enabled" }}
{{- end }}
{{- end }}
{{- if and .Values.simulator.enabled (not (include "market-stack.simulated" . | fromYaml)) }}
{{- fail "simulator.exchanges: the pipeline follows symbols of none of them" }}
{{- end }}
{{- end }}

{{/* What follows takes a part: dict "root" $ "part" "redis" "values" .Values.redis. */}}
{{- define "market-stack.part" -}}
{{- include "market-stack.fullname" .root }}-{{ .part }}
{{- end }}

{{- define "market-stack.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "market-stack.metadata" -}}
name: {{ include "market-stack.part" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "market-stack.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: {{ .root.Chart.Name }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Of a Pod: no version, so that an upgrade of the chart alone restarts nothing. `config` is text that is read at the start. */}}
{{- define "market-stack.podMetadata" -}}
labels:
  {{- mustMergeOverwrite (deepCopy .values.pod.labels) (include "market-stack.selector" . | fromYaml) | toYaml | nindent 2 }}
{{- $annotations := deepCopy .values.pod.annotations }}
{{- with .config }}
{{- $_ := set $annotations "checksum/config" (sha256sum .) }}
{{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "market-stack.podSpec" -}}
enableServiceLinks: false
automountServiceAccountToken: {{ default false .token }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  {{- mustMergeOverwrite (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault")) .values.pod.securityContext | toYaml | nindent 2 }}
{{- with .values.pod }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "market-stack.container" -}}
{{- with .values.image }}
image: {{ ternary (printf "%s@%s" .repository .digest) (printf "%s:%s" .repository .tag) (ne .digest "") | quote }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}
securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A variable from the part's Secret: … "variable" "PASSWORD" "key" "password". */}}
{{- define "market-stack.secretVariable" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: {name: {{ include "market-stack.secretName" . }}, key: {{ .key }}}
{{- end }}

{{- define "market-stack.secretName" -}}
{{- default (include "market-stack.part" .) .values.auth.existingSecret }}
{{- end }}

{{/* Of a StatefulSet of one Pod: all but its template. */}}
{{- define "market-stack.stateful" -}}
replicas: 1
serviceName: {{ include "market-stack.part" . }}
selector:
  matchLabels:
    {{- include "market-stack.selector" . | nindent 4 }}
{{- with .values.persistence }}
{{- if .enabled }}
persistentVolumeClaimRetentionPolicy: {whenScaled: Retain, whenDeleted: {{ ternary "Retain" "Delete" .keep }}}
volumeClaimTemplates:
- metadata:
    name: data
    labels:
      {{- include "market-stack.selector" $ | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storageClass }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources:
      requests: {storage: {{ .size }}}
{{- end }}
{{- end }}
{{- end }}

{{/* The volume `data` where there is no claim, and what every Pod has: /tmp, and its certificate. */}}
{{- define "market-stack.volumes" -}}
- {name: tmp, emptyDir: {}}
{{- if hasKey .values "persistence" }}
{{- if not .values.persistence.enabled }}
- {name: data, emptyDir: {}}
{{- end }}
{{- end }}
{{- if dig "tls" "secretName" "" .values }}
- name: tls
  secret: {secretName: {{ .values.tls.secretName }}, defaultMode: 288}
{{- end }}
{{- end }}

{{/* A Service of a part: … "ports" (dict "http" 3000). */}}
{{- define "market-stack.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "market-stack.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  ipFamilyPolicy: PreferDualStack
  selector:
    {{- include "market-stack.selector" . | nindent 4 }}
  ports:
  {{- range $name, $port := .ports }}
  - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}, protocol: TCP}
  {{- end }}
{{- end }}

{{/* A password that stays: the one that the Secret has, or a new one. … "found" (the Secret's data) "key" "password". */}}
{{- define "market-stack.password" -}}
{{- if hasKey .found .key }}
{{- index .found .key }}
{{- else }}
{{- randAlphaNum (default 32 .length) | b64enc }}
{{- end }}
{{- end }}

{{/* Exchanges whose place the simulator takes, those that the pipeline has symbols of, each with its port. */}}
{{- define "market-stack.simulated" -}}
{{- range $number, $exchange := .Values.simulator.exchanges }}
{{- range $.Values.pipeline.enabled | ternary $.Values.pipeline.spec.symbols (list $exchange) }}
{{- if eq $exchange (splitList ":" . | first) }}
{{ $exchange }}: {{ add $.Values.simulator.port $number }}
{{- break }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
