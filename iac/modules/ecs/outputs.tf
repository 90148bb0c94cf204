output "cluster_name" {
  description = "Name of the cluster"
  value       = aws_ecs_cluster.main.name
}

output "families" {
  description = "Task to its family; started without a revision, so that the newest runs"
  value       = { for task, definition in aws_ecs_task_definition.task : task => definition.family }
}
