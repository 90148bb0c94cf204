output "workflow_arn" {
  description = "The workflow; start it by hand with `aws stepfunctions start-execution`"
  value       = aws_sfn_state_machine.strava_daily.arn
}

output "alerts_topic_arn" {
  description = "Topic that is told of failures"
  value       = local.alerts_arn
  depends_on  = [aws_sns_topic.alerts]
}

output "definition" {
  description = "The workflow in Amazon States Language, for tests"
  value       = local.definition
}
