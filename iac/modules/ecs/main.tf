resource "aws_ecs_cluster" "main" {
  # checkov:skip=CKV_AWS_65:Container Insights cost more than the tasks; every task says its own counts and duration
  name = var.prefix
}

resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE"]
}

# A deployment registers revisions by digest; an apply must not put an older image back.
data "aws_ecs_container_definition" "running" {
  for_each        = var.keep_images ? var.tasks : {}
  task_definition = "${var.prefix}-${each.key}"
  container_name  = each.key
}

resource "aws_ecs_task_definition" "task" {
  for_each                 = var.tasks
  family                   = "${var.prefix}-${each.key}"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = var.task_role_arns[each.key]
  track_latest             = true # the newest revision may be a deployment's

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "ARM64"
  }

  volume {
    name = "tmp"
  }

  # Sorted by name, so that a reordering in tasks.json changes nothing.
  container_definitions = jsonencode([{
    name                   = each.key
    image                  = var.keep_images ? data.aws_ecs_container_definition.running[each.key].image : each.value.image
    essential              = true
    command                = each.value.command
    environment            = [for name in sort(keys(each.value.environment)) : { name = name, value = each.value.environment[name] }]
    secrets                = [for name in sort(keys(each.value.secrets)) : { name = name, valueFrom = "${var.parameter_arn_prefix}${each.value.secrets[name]}" }]
    readonlyRootFilesystem = true
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    stopTimeout            = each.value.stop_timeout_seconds
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_groups[each.key]
        awslogs-region        = var.region
        awslogs-stream-prefix = each.value.log_prefix
        mode                  = "blocking" # the default drops lines, and the last one is the result
      }
    }
  }])

  lifecycle {
    precondition {
      condition     = alltrue([for value in values(each.value.environment) : !can(regex("[$][{]", value))])
      error_message = "A variable of the task ${each.key} has a placeholder that iac/tasks.tf does not fill."
    }
  }
}
