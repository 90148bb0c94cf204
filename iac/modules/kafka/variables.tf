variable "prefix" {
  description = "Name of the cluster"
  type        = string
}

variable "type" {
  description = "provisioned: two small brokers; serverless: eight times the price, no care"
  type        = string
}

variable "kafka_version" {
  description = "Version of provisioned brokers, as MSK names it"
  type        = string
}

variable "instance_type" {
  description = "Size of a provisioned broker"
  type        = string
}

variable "volume_gigabytes" {
  description = "Disk of a provisioned broker; it only grows"
  type        = number
}

variable "vpc_id" {
  description = "VPC of the brokers"
  type        = string
}

variable "cidr" {
  description = "Addresses that may reach the brokers"
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the brokers, two zones at least"
  type        = list(string)
}

variable "retention_days" {
  description = "Days that a broker's log line is kept"
  type        = number
}
