variable "prefix" {
  description = "Name of the cluster"
  type        = string
}

variable "account_id" {
  description = "The account, which alone may use the roles"
  type        = string
}

variable "kubernetes_version" {
  description = "Minor version; one in standard support, since extended support costs six times as much"
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of control plane and nodes, two zones at least"
  type        = list(string)
}

variable "instance_type" {
  description = "Size of a node; ARM, as the images are built for it"
  type        = string
}

variable "node_count" {
  description = "Number of nodes"
  type        = number
}

variable "administrators" {
  description = "ARNs of the principals that may administer the cluster; nobody else gets in, its creator included"
  type        = list(string)
}

variable "public_access_cidrs" {
  description = "Addresses from which the API may be reached; empty: from the VPC only"
  type        = list(string)
}

variable "namespace" {
  description = "Namespace of the weather pair"
  type        = string
}

variable "pod_role_arns" {
  description = "Service account to its role"
  type        = map(string)
}

variable "pod_namespaces" {
  description = "Service account to its namespace where that is not the pair's"
  type        = map(string)
}

variable "retention_days" {
  description = "Days that a log line is kept"
  type        = number
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role; none: unbounded"
  type        = string
}
