output "vpc_id" {
  description = "Id of the VPC"
  value       = aws_vpc.main.id
}

output "private_subnet_ids" {
  description = "Private subnets, in the zones' order"
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]
}

output "task_subnet_ids" {
  description = "Where tasks run: behind the NAT where there is one, else in the public subnets"
  value       = [for zone in var.availability_zones : local.has_nat ? aws_subnet.private[zone].id : aws_subnet.public[zone].id]
}

output "assign_public_ip" {
  description = "Whether a task needs a public address of its own"
  value       = !local.has_nat
}

output "task_security_group_id" {
  description = "Security group of the tasks"
  value       = aws_security_group.tasks.id
}

output "nat_address" {
  description = "The one address that a database may let in; none without NAT"
  value       = one(aws_eip.nat[*].public_ip)
}
