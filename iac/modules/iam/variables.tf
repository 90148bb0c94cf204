variable "prefix" {
  description = "First part of every role's name"
  type        = string
}

variable "account_id" {
  description = "The account, which alone may use the roles"
  type        = string
}

variable "region" {
  description = "Region of cluster, logs and parameters"
  type        = string
}

variable "buckets" {
  description = "Names of the buckets landing, dags and report"
  type        = object({ landing = string, dags = string, report = string })
}

variable "secret_names" {
  description = "Names of the parameters that tasks get as variables, below parameter_path"
  type        = set(string)
}

variable "parameter_path" {
  description = "Path of all parameters, /<name>/<environment>"
  type        = string
}

variable "tasks" {
  description = "Tasks that run on ECS"
  type        = set(string)
}

variable "images" {
  description = "Images, whose repositories are <prefix>/<image>"
  type        = set(string)
}

variable "weather_topics" {
  description = "The topic of readings and the one of dead letters"
  type        = object({ readings = string, dead_letters = string })
}

variable "github" {
  description = "The repository whose workflows deploy: names, ids that GitHub never gives twice, the subjects' ends, and whether to make GitHub's OIDC provider (one an account)"
  type = object({
    owner           = string
    owner_id        = string
    repository      = string
    repository_id   = string
    subjects        = list(string)
    create_provider = bool
  })
}

variable "has_airflow" {
  description = "Whether a deployment also updates the MWAA environment <prefix>"
  type        = bool
}

variable "has_eks" {
  description = "Whether the weather pair runs on EKS and gets its roles by Pod Identity"
  type        = bool
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role; none: unbounded"
  type        = string
}
