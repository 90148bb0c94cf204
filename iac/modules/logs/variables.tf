variable "prefix" {
  description = "First part of every group's name, /<prefix>/<task>"
  type        = string
}

variable "tasks" {
  description = "Tasks, one log group each"
  type        = set(string)
}

variable "retention_days" {
  description = "Days that a line is kept"
  type        = number
}
