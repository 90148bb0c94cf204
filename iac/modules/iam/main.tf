# Documents name what they allow by the names that the other modules give, so that they can be read, and tested,
# before anything exists.

locals {
  arn = {
    landing        = "arn:aws:s3:::${var.buckets.landing}"
    dags           = "arn:aws:s3:::${var.buckets.dags}"
    report         = "arn:aws:s3:::${var.buckets.report}"
    cluster        = "arn:aws:ecs:${var.region}:${var.account_id}:cluster/${var.prefix}"
    running_tasks  = "arn:aws:ecs:${var.region}:${var.account_id}:task/${var.prefix}/*"
    execution_role = "arn:aws:iam::${var.account_id}:role/${var.prefix}-execution"
  }
  parameter_arn_prefix = "arn:aws:ssm:${var.region}:${var.account_id}:parameter${var.parameter_path}/"
  log_stream_arns      = [for task in sort(var.tasks) : "arn:aws:logs:${var.region}:${var.account_id}:log-group:/${var.prefix}/${task}:log-stream:*"]
  family_arns          = [for task in sort(var.tasks) : "arn:aws:ecs:${var.region}:${var.account_id}:task-definition/${var.prefix}-${task}:*"]
  repository_arns      = [for image in sort(var.images) : "arn:aws:ecr:${var.region}:${var.account_id}:repository/${var.prefix}/${image}"]
  task_role_arns       = [for task in sort(var.tasks) : "arn:aws:iam::${var.account_id}:role/${var.prefix}-${task}"]
}

# --- what the container agent does before and beside a task ------------------------------------------------

resource "aws_iam_role" "execution" {
  name                 = "${var.prefix}-execution"
  description          = "The container agent: pulls our images, reads the secrets that tasks.json names, writes logs"
  assume_role_policy   = data.aws_iam_policy_document.ecs_trust.json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "execution" {
  name   = "execution"
  role   = aws_iam_role.execution.name
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "ecs_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    # Without these another account's ECS could be talked into using our roles.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:aws:ecs:${var.region}:${var.account_id}:*"]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogInToEcr"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # it takes no resource
  }
  statement {
    sid       = "PullOurImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for task in sort(var.tasks) : "arn:aws:ecr:${var.region}:${var.account_id}:repository/${var.prefix}/${task}"]
  }
  # SecureStrings under the key aws/ssm: its own policy lets the account's principals decrypt through SSM.
  statement {
    sid       = "ReadNamedSecrets"
    actions   = ["ssm:GetParameters"]
    resources = [for name in sort(var.secret_names) : "${local.parameter_arn_prefix}${name}"]
  }
  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = local.log_stream_arns
  }
}

# --- starting, watching and stopping our tasks: Airflow, Step Functions, ecs-run ---------------------------

# Two policies, since Step Functions needs only the first.
resource "aws_iam_policy" "start_tasks" {
  name        = "${var.prefix}-start-tasks"
  description = "Start, watch and stop the tasks of ${var.prefix}"
  policy      = data.aws_iam_policy_document.start_tasks.json
}

resource "aws_iam_policy" "follow_tasks" {
  name        = "${var.prefix}-follow-tasks"
  description = "Find running tasks of ${var.prefix} and read their logs"
  policy      = data.aws_iam_policy_document.follow_tasks.json
}

data "aws_iam_policy_document" "start_tasks" {
  statement {
    sid       = "StartOurTasks"
    actions   = ["ecs:RunTask"]
    resources = local.family_arns
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.arn.cluster]
    }
  }
  statement {
    sid       = "WatchAndStopThem"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = [local.arn.running_tasks]
  }
  statement {
    sid       = "TagThemAsTheirDefinition"
    actions   = ["ecs:TagResource"]
    resources = [local.arn.running_tasks]
    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }
  statement {
    sid       = "GiveThemTheirRoles"
    actions   = ["iam:PassRole"]
    resources = concat([local.arn.execution_role], local.task_role_arns)
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "follow_tasks" {
  statement {
    sid       = "FindWhatAnEarlierTryStarted"
    actions   = ["ecs:ListTasks"]
    resources = ["*"] # it takes container instances only, of which Fargate has none
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.arn.cluster]
    }
  }
  statement {
    sid       = "ReadTheirLogs"
    actions   = ["logs:GetLogEvents"]
    resources = local.log_stream_arns
  }
}
