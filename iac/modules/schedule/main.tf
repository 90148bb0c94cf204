# The Strava half without Airflow: Scheduler starts one workflow a day, Step Functions runs its tasks in turn.

resource "aws_scheduler_schedule" "daily" {
  # checkov:skip=CKV_AWS_297:the payload is empty, there is nothing to encrypt with a key of one's own
  name                         = "${var.prefix}-strava-daily"
  description                  = "Starts the workflow: extract, load, dbt, report"
  schedule_expression          = var.schedule_expression
  schedule_expression_timezone = var.timezone
  state                        = var.is_enabled ? "ENABLED" : "DISABLED"
  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 15 # nobody needs the full hour, when Strava is asked by everybody
  }
  target {
    arn      = aws_sfn_state_machine.strava_daily.arn
    role_arn = aws_iam_role.scheduler.arn
    input    = "{}"
    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 5
    }
  }
}

resource "aws_sfn_state_machine" "strava_daily" {
  # checkov:skip=CKV_AWS_284:X-Ray would trace four tasks a day, whose times the history shows
  # checkov:skip=CKV_AWS_285:a standard workflow keeps its history for 90 days; logs would need rights on all log deliveries
  name       = local.workflow_name
  role_arn   = aws_iam_role.workflow.arn
  definition = local.definition
}

# --- roles ------------------------------------------------------------------------------------------------

locals {
  workflow_name = "${var.prefix}-strava-daily"
  workflow_arn  = "arn:aws:states:${var.region}:${var.account_id}:stateMachine:${local.workflow_name}"
}

resource "aws_iam_role" "scheduler" {
  name                 = "${var.prefix}-scheduler"
  description          = "EventBridge Scheduler: starts the workflow"
  assume_role_policy   = data.aws_iam_policy_document.trust["scheduler"].json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "start"
  role   = aws_iam_role.scheduler.name
  policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_iam_role" "workflow" {
  name                 = "${var.prefix}-workflow"
  description          = "Step Functions: runs the workflow's tasks"
  assume_role_policy   = data.aws_iam_policy_document.trust["states"].json
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy_attachment" "workflow_tasks" {
  role       = aws_iam_role.workflow.name
  policy_arn = var.start_tasks_policy_arn
}

resource "aws_iam_role_policy" "workflow_events" {
  name   = "events"
  role   = aws_iam_role.workflow.name
  policy = data.aws_iam_policy_document.workflow_events.json
}

data "aws_iam_policy_document" "trust" {
  for_each = toset(["scheduler", "states"])
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    sid       = "StartTheWorkflow"
    actions   = ["states:StartExecution"]
    resources = [local.workflow_arn]
  }
}

# Step Functions hears of a task's end through a rule that it makes and names itself.
data "aws_iam_policy_document" "workflow_events" {
  statement {
    sid       = "HearOfATasksEnd"
    actions   = ["events:DescribeRule", "events:PutRule", "events:PutTargets"]
    resources = ["arn:aws:events:${var.region}:${var.account_id}:rule/StepFunctionsGetEventsForECSTaskRule"]
  }
}
