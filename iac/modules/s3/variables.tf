variable "buckets" {
  description = "Purpose (landing, dags, report) to the bucket's name"
  type        = map(string)
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be brought back"
  type        = number
}
