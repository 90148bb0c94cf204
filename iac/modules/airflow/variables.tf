variable "prefix" {
  description = "Name of the environment"
  type        = string
}

variable "account_id" {
  description = "The account, which alone may use the role"
  type        = string
}

variable "region" {
  description = "Region of the environment"
  type        = string
}

variable "airflow_version" {
  description = "One of MWAA's versions; airflow/requirements.txt must be for it"
  type        = string
}

variable "environment_class" {
  description = "Size: mw1.micro is enough for our DAGs"
  type        = string
}

variable "bucket" {
  description = "Bucket with dags/, plugins.zip and requirements.txt"
  type        = string
}

variable "vpc_id" {
  description = "VPC of the environment"
  type        = string
}

variable "private_subnet_ids" {
  description = "Two private subnets that reach AWS, by NAT or by endpoints"
  type        = list(string)
}

variable "options" {
  description = "Airflow's configuration options, section.name to value"
  type        = map(string)
}

variable "task_policy_arns" {
  description = "Policies that allow to run our tasks and to read their logs"
  type        = object({ start = string, follow = string })
}

variable "alerts_topic_arn" {
  description = "Topic that failures are told to"
  type        = string
}

variable "retention_days" {
  description = "Days that a log line is kept"
  type        = number
}

variable "has_plugins" {
  description = "Whether plugins.zip and requirements.txt are in the bucket already; without them MWAA refuses to start"
  type        = bool
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role; none: unbounded"
  type        = string
}
