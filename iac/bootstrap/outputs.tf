output "role_arns" {
  description = "plan and apply: the two provider configurations of the workspace, the second one apply_only"
  value       = { for run, role in aws_iam_role.scalr : run => role.arn }
}

output "permissions_boundary" {
  description = "Value of permissions_boundary in the root above"
  value       = local.boundary_arn
}
