variable "prefix" {
  description = "First part of every name"
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC, a /16 to /20"
  type        = string
}

variable "availability_zones" {
  description = "Names of the zones, two at least (MWAA, MSK and EKS ask for two)"
  type        = list(string)
}

variable "private_access" {
  description = "What the private subnets reach: none (nothing but S3), endpoints (AWS services) or nat (everything)"
  type        = string
}

variable "region" {
  description = "Region, part of the endpoints' names"
  type        = string
}

variable "endpoint_services" {
  description = "Services that get an interface endpoint where private_access is endpoints"
  type        = list(string)
}

variable "database_ports" {
  description = "TCP ports of the person's own Postgres and MongoDB, beside HTTPS the only ones that a task may call on the internet"
  type        = list(number)
}
