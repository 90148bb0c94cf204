variable "prefix" {
  description = "First part of every name"
  type        = string
}

variable "account_id" {
  description = "The account, which alone may use the roles"
  type        = string
}

variable "region" {
  description = "Region of the workflow"
  type        = string
}

variable "schedule_expression" {
  description = "When the workflow starts, as EventBridge Scheduler reads it"
  type        = string
}

variable "timezone" {
  description = "IANA name of the zone in which the schedule is meant"
  type        = string
}

variable "is_enabled" {
  description = "Whether it starts by itself; otherwise a person starts it"
  type        = bool
}

variable "athletes" {
  description = "Ids of the athletes; empty: the one that the token names"
  type        = list(string)
}

variable "cluster_name" {
  description = "Cluster in which the tasks run"
  type        = string
}

variable "families" {
  description = "Task to its family"
  type        = map(string)
}

variable "subnet_ids" {
  description = "Subnets of the tasks"
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the tasks"
  type        = string
}

variable "assign_public_ip" {
  description = "Whether the tasks get public addresses"
  type        = bool
}

variable "start_tasks_policy_arn" {
  description = "Policy that allows to start, watch and stop the tasks"
  type        = string
}

variable "alert_email" {
  description = "Who is told of a failure"
  type        = string
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role; none: unbounded"
  type        = string
}
