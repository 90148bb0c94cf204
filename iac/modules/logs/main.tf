resource "aws_cloudwatch_log_group" "task" {
  # checkov:skip=CKV_AWS_158:encrypted by CloudWatch; logs hold no secret, name or coordinate, and a key costs 1 USD a month
  # checkov:skip=CKV_AWS_338:a year of logs of a daily batch is read by nobody; the variable says how long
  for_each          = var.tasks
  name              = "/${var.prefix}/${each.key}"
  retention_in_days = var.retention_days
}
