# A person hears of it when a run fails, and when no run has succeeded for 26 hours, whatever the reason.

resource "aws_sns_topic" "alerts" {
  # checkov:skip=CKV_AWS_26:EventBridge and CloudWatch cannot write under the key aws/sns, and a key of one's own costs 1 USD a month; a message names a task and its exit
  name = "${var.prefix}-alerts"
}

resource "aws_sns_topic_subscription" "email" {
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.alert_email
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.alerts.json
}

locals {
  alerts_arn = "arn:aws:sns:${var.region}:${var.account_id}:${var.prefix}-alerts"
}

data "aws_iam_policy_document" "alerts" {
  statement {
    sid       = "OurEventsAndAlarmsTell"
    actions   = ["sns:Publish"]
    resources = [local.alerts_arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values = [
        "arn:aws:events:${var.region}:${var.account_id}:rule/${var.prefix}-*",
        "arn:aws:cloudwatch:${var.region}:${var.account_id}:alarm:${var.prefix}-*",
      ]
    }
  }
}

resource "aws_cloudwatch_event_rule" "failed" {
  name        = "${var.prefix}-strava-daily-failed"
  description = "A run of the workflow ended without success"
  event_pattern = jsonencode({
    source        = ["aws.states"]
    "detail-type" = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = [local.workflow_arn]
      status          = ["FAILED", "TIMED_OUT", "ABORTED"]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule = aws_cloudwatch_event_rule.failed.name
  arn  = aws_sns_topic.alerts.arn
  input_transformer {
    input_paths = {
      run    = "$.detail.executionArn"
      status = "$.detail.status"
      error  = "$.detail.error"
    }
    input_template = "\"${var.prefix}: the daily run ended as <status> (<error>). Its history says which task and why: <run>\""
  }
}

resource "aws_cloudwatch_metric_alarm" "silence" {
  count               = var.is_enabled ? 1 : 0
  alarm_name          = "${var.prefix}-strava-daily-silent"
  alarm_description   = "No daily run succeeded within 26 hours: not started, still running or failing"
  namespace           = "AWS/States"
  metric_name         = "ExecutionsSucceeded"
  dimensions          = { StateMachineArn = local.workflow_arn }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 26 # a day, the schedule's window and the run itself
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [local.alerts_arn]
}
