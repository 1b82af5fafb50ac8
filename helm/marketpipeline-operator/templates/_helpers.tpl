{{- define "marketpipeline-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 53 | trimSuffix "-" }}
{{- end }}

{{/* The name of every object; the release's alone where it holds the chart's. `-lease` and `-metrics` fit behind it. */}}
{{- define "marketpipeline-operator.fullname" -}}
{{- $name := include "marketpipeline-operator.name" . -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 53 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 53 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "marketpipeline-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "marketpipeline-operator.labels" -}}
{{- with .Values.commonLabels }}
{{- toYaml . }}
{{ end }}
{{- include "marketpipeline-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "marketpipeline-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "marketpipeline-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name: must be given where serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "marketpipeline-operator.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The operator's settings.json: `settings`, and over it what the other values say. */}}
{{- define "marketpipeline-operator.settings" -}}
{{- $images := dict
  "registry" .Values.images.registry
  "overrides" .Values.images.overrides
  "pull_policy" .Values.images.pullPolicy
  "pull_secrets" .Values.images.pullSecrets
-}}
{{- with .Values.images.tag }}
{{- $_ := set $images "tag" . }}
{{- end }}
{{- $lease := dict "name" (include "marketpipeline-operator.fullname" .) "namespace" .Release.Namespace -}}
{{- $ours := dict
  "namespaces" .Values.namespaces
  "images" $images
  "lease" $lease
  "telemetry" (dict "log_level" .Values.logLevel)
-}}
{{- mustMergeOverwrite (deepCopy .Values.settings) $ours | mustToPrettyJson }}
{{- end }}

{{/* Subjects of every binding. */}}
{{- define "marketpipeline-operator.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "marketpipeline-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}
