# MWAA starts in half an hour and never rests: about 210 USD a month. The same DAGs run against devstack without it.

locals {
  logs = ["DAGProcessing", "Scheduler", "Task", "WebServer", "Worker"]
}

data "aws_s3_object" "plugins" {
  count  = var.has_plugins ? 1 : 0
  bucket = var.bucket
  key    = "plugins.zip"
}

data "aws_s3_object" "requirements" {
  count  = var.has_plugins ? 1 : 0
  bucket = var.bucket
  key    = "requirements.txt"
}

resource "aws_mwaa_environment" "main" {
  # checkov:skip=CKV2_AWS_66:its page is for a person without VPN and asks for AWS's sign-in
  name                            = var.prefix
  airflow_version                 = var.airflow_version
  environment_class               = var.environment_class
  execution_role_arn              = aws_iam_role.airflow.arn
  source_bucket_arn               = "arn:aws:s3:::${var.bucket}"
  dag_s3_path                     = "dags/"
  plugins_s3_path                 = var.has_plugins ? "plugins.zip" : null
  plugins_s3_object_version       = one(data.aws_s3_object.plugins[*].version_id)
  requirements_s3_path            = var.has_plugins ? "requirements.txt" : null
  requirements_s3_object_version  = one(data.aws_s3_object.requirements[*].version_id)
  airflow_configuration_options   = var.options
  webserver_access_mode           = "PUBLIC_ONLY" # behind AWS's own sign-in
  worker_replacement_strategy     = "GRACEFUL"    # a running task is not cut off by an update
  weekly_maintenance_window_start = "SUN:01:00"

  network_configuration {
    security_group_ids = [aws_security_group.airflow.id]
    subnet_ids         = slice(var.private_subnet_ids, 0, 2) # exactly two, fixed at creation
  }

  logging_configuration {
    dag_processing_logs {
      enabled   = true
      log_level = "WARNING"
    }
    scheduler_logs {
      enabled   = true
      log_level = "WARNING"
    }
    task_logs {
      enabled   = true
      log_level = "INFO"
    }
    webserver_logs {
      enabled   = true
      log_level = "WARNING"
    }
    worker_logs {
      enabled   = true
      log_level = "WARNING"
    }
  }

  # MWAA proves at creation that its role may do what it must.
  depends_on = [aws_iam_role_policy.airflow, aws_iam_role_policy_attachment.tasks, aws_cloudwatch_log_group.airflow]
}

# MWAA makes these by itself, and then they never expire.
resource "aws_cloudwatch_log_group" "airflow" {
  # checkov:skip=CKV_AWS_158:encrypted by CloudWatch; logs hold no secret, name or coordinate, and a key costs 1 USD a month
  # checkov:skip=CKV_AWS_338:a year of a scheduler's logs is read by nobody; the variable says how long
  for_each          = toset(local.logs)
  name              = "airflow-${var.prefix}-${each.key}"
  retention_in_days = var.retention_days
}

resource "aws_security_group" "airflow" {
  name        = "${var.prefix}-airflow"
  description = "MWAA: its own parts among themselves, HTTPS out"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "itself" {
  security_group_id            = aws_security_group.airflow.id
  description                  = "MWAA's parts among themselves, as AWS demands it"
  referenced_security_group_id = aws_security_group.airflow.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "itself" {
  security_group_id            = aws_security_group.airflow.id
  description                  = "MWAA's parts among themselves, the metadata database included"
  referenced_security_group_id = aws_security_group.airflow.id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.airflow.id
  description       = "AWS, and packages at the environment's start"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
