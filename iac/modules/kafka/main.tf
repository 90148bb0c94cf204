# IAM is the only way in. Topics are made by scripts/topics (ADR 0031): a client that signs with IAM cannot.

locals {
  is_provisioned = var.type == "provisioned"
}

resource "aws_security_group" "kafka" {
  name        = "${var.prefix}-kafka"
  description = "Kafka brokers: clients with IAM from within the VPC"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  security_group_id = aws_security_group.kafka.id
  description       = "Kafka with IAM over TLS, from the VPC"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = 9098
  to_port           = 9098
}

resource "aws_msk_serverless_cluster" "main" {
  count        = local.is_provisioned ? 0 : 1
  cluster_name = var.prefix
  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.kafka.id]
  }
  client_authentication {
    sasl {
      iam {
        enabled = true
      }
    }
  }
}

resource "aws_msk_cluster" "main" {
  # checkov:skip=CKV_AWS_291:brokers lie in private subnets; public access is off unless asked for
  count                  = local.is_provisioned ? 1 : 0
  cluster_name           = var.prefix
  kafka_version          = var.kafka_version
  number_of_broker_nodes = length(var.subnet_ids)

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.subnet_ids
    security_groups = [aws_security_group.kafka.id]
    storage_info {
      ebs_storage_info {
        volume_size = var.volume_gigabytes
      }
    }
  }
  client_authentication {
    unauthenticated = false
    sasl {
      iam = true
    }
  }
  encryption_info {
    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }
  configuration_info {
    arn      = aws_msk_configuration.main[0].arn
    revision = aws_msk_configuration.main[0].latest_revision
  }
  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.kafka[0].name
      }
    }
  }
}

# A misspelt topic must be an error and not a new topic. Two brokers: a write needs both or fails loudly, except
# that one may be away for a patch; the weather can be fetched again.
resource "aws_msk_configuration" "main" {
  count             = local.is_provisioned ? 1 : 0
  name              = var.prefix
  server_properties = <<-PROPERTIES
    auto.create.topics.enable=false
    default.replication.factor=2
    min.insync.replicas=1
    unclean.leader.election.enable=false
  PROPERTIES
}

resource "aws_cloudwatch_log_group" "kafka" {
  # checkov:skip=CKV_AWS_158:encrypted by CloudWatch; broker logs hold no record, and a key costs 1 USD a month
  # checkov:skip=CKV_AWS_338:a year of brokers' logs is read by nobody; the variable says how long
  count             = local.is_provisioned ? 1 : 0
  name              = "/${var.prefix}/kafka"
  retention_in_days = var.retention_days
}

data "aws_msk_bootstrap_brokers" "main" {
  cluster_arn = local.cluster_arn
}

locals {
  cluster_arn = local.is_provisioned ? aws_msk_cluster.main[0].arn : aws_msk_serverless_cluster.main[0].arn
}
