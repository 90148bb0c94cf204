output "names" {
  description = "Task to the name of its log group"
  value       = { for task, group in aws_cloudwatch_log_group.task : task => group.name }
}
