variable "name" {
  description = "The platform's name, as in the root above"
  type        = string
  default     = "data-voyager"
}

variable "environment" {
  description = "The environment, as in the root above"
  type        = string
}

variable "region" {
  description = "AWS region, as in the root above"
  type        = string
}

variable "scalr_account" {
  description = "Scalr's account, as the subject names it"
  type        = string
}

variable "scalr_environment" {
  description = "Scalr's environment"
  type        = string
}

variable "scalr_workspace" {
  description = "Scalr's workspace"
  type        = string
}

variable "scalr_audience" {
  description = "Audience of Scalr's provider configuration"
  type        = string
  default     = "aws.scalr-run-workload"
}
