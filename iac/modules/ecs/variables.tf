variable "prefix" {
  description = "Name of the cluster, and first part of every family, <prefix>-<task>"
  type        = string
}

variable "region" {
  description = "Region, where the logs go"
  type        = string
}

variable "tasks" {
  description = "The tasks of tasks.json, every placeholder filled"
  type = map(object({
    image                = string
    cpu                  = number
    memory               = number
    command              = list(string)
    environment          = map(string)
    secrets              = map(string)
    log_prefix           = string
    stop_timeout_seconds = number
  }))
}

variable "log_groups" {
  description = "Task to the name of its log group"
  type        = map(string)
}

variable "execution_role_arn" {
  description = "Role with which the agent pulls images, reads secrets and writes logs"
  type        = string
}

variable "task_role_arns" {
  description = "Task to the role of its program"
  type        = map(string)
}

variable "parameter_arn_prefix" {
  description = "What comes before a secret's name in its parameter's ARN, with the slash"
  type        = string
}

variable "keep_images" {
  description = "Take the image of each family's newest revision, which a deployment registered, instead of the one that tasks names"
  type        = bool
}
