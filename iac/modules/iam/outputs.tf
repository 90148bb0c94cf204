output "execution_role_arn" {
  description = "Role of the container agent"
  value       = aws_iam_role.execution.arn
}

output "task_role_arns" {
  description = "Task to its program's role"
  value       = { for task, role in aws_iam_role.task : task => role.arn }
}

output "pod_role_arns" {
  description = "Service account to its role; empty without EKS"
  value       = { for pod, role in aws_iam_role.pod : pod => role.arn }
}

output "deploy_role_arn" {
  description = "Role of GitHub's workflows"
  value       = aws_iam_role.deploy.arn
}

output "start_tasks_policy_arn" {
  description = "Policy for whoever starts tasks"
  value       = "arn:aws:iam::${var.account_id}:policy/${var.prefix}-start-tasks"
  depends_on  = [aws_iam_policy.start_tasks]
}

output "follow_tasks_policy_arn" {
  description = "Policy for whoever follows tasks and their logs"
  value       = "arn:aws:iam::${var.account_id}:policy/${var.prefix}-follow-tasks"
  depends_on  = [aws_iam_policy.follow_tasks]
}

output "documents" {
  description = "The rendered documents by role, for tests"
  value = merge(local.task_documents, {
    execution    = data.aws_iam_policy_document.execution.json
    start_tasks  = data.aws_iam_policy_document.start_tasks.json
    follow_tasks = data.aws_iam_policy_document.follow_tasks.json
    ecs_trust    = data.aws_iam_policy_document.ecs_trust.json
    github_trust = data.aws_iam_policy_document.github_trust.json
    deploy       = data.aws_iam_policy_document.deploy.json
  })
}
