variable "name" {
  description = "The platform's name: first part of names, and of the parameters' path /<name>/<environment>"
  type        = string
  default     = "data-voyager"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.name))
    error_message = "name must be 2 to 16 of a-z, 0-9 and -, a letter first: it becomes part of bucket and role names."
  }
}

variable "environment" {
  description = "Which of several: production, staging, …"
  type        = string
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "environment must be 2 to 16 of a-z, 0-9 and -, a letter first: it becomes part of bucket and role names."
  }
}

variable "region" {
  description = "AWS region of everything"
  type        = string
}

variable "account_id" {
  description = "The account that is meant; with other credentials Terraform refuses. None: whichever the credentials are of"
  type        = string
  default     = null
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds every role; bootstrap/ makes one, and Scalr's apply role creates none without it"
  type        = string
  default     = null
}

# --- network ------------------------------------------------------------------------------------------------

variable "network_cidr" {
  description = "Addresses of the VPC"
  type        = string
  default     = "10.20.0.0/16"
  validation {
    condition     = can(cidrsubnet(var.network_cidr, 4, 15))
    error_message = "network_cidr must be a block such as 10.20.0.0/16 that can be cut into sixteen."
  }
}

variable "private_access" {
  description = "What private subnets reach: none, endpoints (AWS only, about 131 USD a month) or nat (everything, about 37). Without NAT tasks run in the public subnets"
  type        = string
  default     = "none"
  validation {
    condition     = contains(["none", "endpoints", "nat"], var.private_access)
    error_message = "private_access must be none, endpoints or nat."
  }
}

variable "database_ports" {
  description = "TCP ports of your Postgres and MongoDB"
  type        = list(number)
  default     = [5432, 27017]
}

# --- tasks --------------------------------------------------------------------------------------------------

variable "image_tag" {
  description = "Tag of the images of a first deployment; afterwards see keep_images"
  type        = string
  default     = "first"
}

variable "keep_images" {
  description = "Keep the image of each task's newest revision. False for the very first apply only: there is none yet"
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "Days that a log line is kept"
  type        = number
  default     = 30
}

variable "noncurrent_days" {
  description = "Days that an overwritten or deleted object can be brought back"
  type        = number
  default     = 7
}

variable "athletes" {
  description = "Strava ids of the athletes, each with a token of their own; empty: the one athlete that the token names"
  type        = list(string)
  default     = []
  validation {
    condition     = alltrue([for id in var.athletes : can(regex("^[0-9]+$", id))])
    error_message = "athletes must be Strava's numeric ids."
  }
}

variable "home_timezone" {
  description = "IANA name of the time zone in which activities of unknown zone happened, and whose today it is; empty: UTC"
  type        = string
  default     = ""
}

variable "strava_api_url" {
  description = "Strava's API; empty: the program's default"
  type        = string
  default     = ""
}

variable "strava_oauth_url" {
  description = "Strava's OAuth; empty: the program's default"
  type        = string
  default     = ""
}

variable "open_meteo_urls" {
  description = "Open-Meteo's hosts; empty: the program's defaults"
  type        = object({ forecast = optional(string, ""), archive = optional(string, ""), historical_forecast = optional(string, "") })
  default     = {}
}

variable "weather_topic" {
  description = "Topic of weather readings; dead letters go to <topic>.dead-letters"
  type        = string
  default     = "weather"
}

variable "kafka" {
  description = "A Kafka of your own, where enable_kafka is false: addresses, librdkafka's security protocol and mechanism"
  type        = object({ bootstrap_servers = optional(string, ""), security_protocol = optional(string, ""), sasl_mechanism = optional(string, "") })
  default     = {}
}

# --- the daily workflow -------------------------------------------------------------------------------------

variable "schedule_expression" {
  description = "When the daily workflow starts, as EventBridge Scheduler reads it"
  type        = string
  default     = "cron(30 3 * * ? *)"
}

variable "schedule_timezone" {
  description = "IANA name of the zone in which the schedule is meant"
  type        = string
  default     = "UTC"
}

variable "enable_schedule" {
  description = "Start the workflow by itself; unset: unless Airflow does its work"
  type        = bool
  default     = null
}

variable "alert_email" {
  description = "Who is told of a failure; AWS asks that address for a confirmation"
  type        = string
}

# --- GitHub -------------------------------------------------------------------------------------------------

variable "github_owner" {
  description = "Owner of the repository whose workflows deploy"
  type        = string
}

variable "github_owner_id" {
  description = "The owner's number: gh api users/<owner> --jq .id"
  type        = string
}

variable "github_repository" {
  description = "Name of the repository, without its owner"
  type        = string
}

variable "github_repository_id" {
  description = "The repository's number: gh api repos/<owner>/<repository> --jq .id"
  type        = string
}

variable "github_subjects" {
  description = "Ends of the OIDC subjects that may deploy, exact. A job with an environment has that and not its branch"
  type        = list(string)
  default     = ["environment:production"]
  validation {
    condition     = length(var.github_subjects) > 0 && alltrue([for it in var.github_subjects : can(regex("^[^*?]+$", it))])
    error_message = "github_subjects must be exact: no * and no ?."
  }
}

variable "github_create_provider" {
  description = "Make GitHub's OIDC provider; false where the account has it already"
  type        = bool
  default     = true
}

# --- the three dear parts, each behind a switch -------------------------------------------------------------

variable "enable_airflow" {
  description = "MWAA, about 212 USD a month and a NAT. Its packages come from PyPI: with endpoints only they must lie in plugins.zip"
  type        = bool
  default     = false
  validation {
    condition     = !var.enable_airflow || var.private_access != "none"
    error_message = "enable_airflow needs private_access nat (or endpoints): MWAA lives in private subnets."
  }
}

variable "airflow" {
  description = "MWAA's version and size, and whether plugins.zip and requirements.txt are in the DAG bucket already (false for the first apply only)"
  type        = object({ version = optional(string, "3.0.6"), environment_class = optional(string, "mw1.micro"), has_plugins = optional(bool, true) })
  default     = {}
}

variable "enable_kafka" {
  description = "MSK: two small brokers about 69 USD a month, Serverless about 554"
  type        = bool
  default     = false
}

variable "msk" {
  description = "MSK's kind (provisioned or serverless), and version, size and disk of provisioned brokers"
  type = object({
    type             = optional(string, "provisioned")
    version          = optional(string, "3.9.x")
    instance_type    = optional(string, "kafka.t3.small")
    volume_gigabytes = optional(number, 20)
  })
  default = {}
  validation {
    condition     = contains(["provisioned", "serverless"], var.msk.type)
    error_message = "msk.type must be provisioned or serverless."
  }
}

variable "enable_kubernetes" {
  description = "EKS for the weather pair, about 105 USD a month and a NAT"
  type        = bool
  default     = false
  validation {
    condition     = !var.enable_kubernetes || var.private_access == "nat"
    error_message = "enable_kubernetes needs private_access nat: the pods call Open-Meteo and MongoDB from private subnets."
  }
}

variable "kubernetes" {
  description = "EKS's version and nodes, who administers it and from where, and the pair's namespace"
  type = object({
    version             = optional(string, "1.35")
    instance_type       = optional(string, "t4g.medium")
    node_count          = optional(number, 1)
    administrators      = optional(list(string), [])
    public_access_cidrs = optional(list(string), [])
    namespace           = optional(string, "data-voyager")
  })
  default = {}
  validation {
    condition     = !contains(var.kubernetes.public_access_cidrs, "0.0.0.0/0")
    error_message = "kubernetes.public_access_cidrs must name your own addresses."
  }
}
