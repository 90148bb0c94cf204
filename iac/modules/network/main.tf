# Public subnets without NAT are the cheap default: a task gets a public address for its few minutes, and its
# security group lets nobody in. Private subnets cost nothing by themselves; what they reach is a switch.

locals {
  zones         = { for index, zone in var.availability_zones : zone => index }
  has_nat       = var.private_access == "nat"
  has_endpoints = var.private_access == "endpoints"
}

resource "aws_vpc" "main" {
  # checkov:skip=CKV2_AWS_11:flow logs would cost more than the tasks whose few minutes they would show
  cidr_block           = var.cidr
  enable_dns_hostnames = true # interface endpoints and MSK are found by name
  tags                 = { Name = var.prefix }
}

# The group that AWS makes lets everything out and its own members in; nothing may use it by mistake.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.main.id
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = var.prefix }
}

resource "aws_subnet" "public" {
  for_each          = local.zones
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, each.value)
  tags              = { Name = "${var.prefix}-public-${each.key}" }
}

resource "aws_subnet" "private" {
  for_each          = local.zones
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, 8 + each.value)
  tags              = { Name = "${var.prefix}-private-${each.key}" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.main.id
  }
  tags = { Name = "${var.prefix}-public" }
}

resource "aws_route_table_association" "public" {
  for_each       = local.zones
  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.main.id
  tags   = { Name = "${var.prefix}-private" }
}

resource "aws_route" "private_to_nat" {
  count                  = local.has_nat ? 1 : 0
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.main[0].id
}

resource "aws_route_table_association" "private" {
  for_each       = local.zones
  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private.id
}

# One NAT, not one a zone: half the price, and a zone's outage costs a day's batch, which the next day makes up for.
resource "aws_eip" "nat" {
  # checkov:skip=CKV2_AWS_19:the address is the NAT gateway's, which checkov does not follow through count
  count  = local.has_nat ? 1 : 0
  domain = "vpc"
  tags   = { Name = "${var.prefix}-nat" }
}

resource "aws_nat_gateway" "main" {
  count         = local.has_nat ? 1 : 0
  allocation_id = aws_eip.nat[0].id
  subnet_id     = aws_subnet.public[var.availability_zones[0]].id
  tags          = { Name = var.prefix }
}

# Costs nothing, and keeps images' layers and the landing bucket off the NAT's bill.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public.id, aws_route_table.private.id]
  tags              = { Name = "${var.prefix}-s3" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = local.has_endpoints ? toset(var.endpoint_services) : toset([])
  vpc_id              = aws_vpc.main.id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for zone in var.availability_zones : aws_subnet.private[zone].id]
  security_group_ids  = [aws_security_group.endpoints[0].id]
  tags                = { Name = "${var.prefix}-${each.key}" }
}

resource "aws_security_group" "endpoints" {
  count       = local.has_endpoints ? 1 : 0
  name        = "${var.prefix}-endpoints"
  description = "Interface endpoints: HTTPS from within the VPC"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_https" {
  count             = local.has_endpoints ? 1 : 0
  security_group_id = aws_security_group.endpoints[0].id
  description       = "HTTPS from the VPC"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_security_group" "tasks" {
  # checkov:skip=CKV2_AWS_5:RunTask attaches it, not a resource
  name        = "${var.prefix}-tasks"
  description = "ECS tasks: nobody comes in, HTTPS, databases and Kafka go out"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_egress_rule" "tasks_internet" {
  for_each          = toset([for port in concat([443], var.database_ports) : tostring(port)])
  security_group_id = aws_security_group.tasks.id
  description       = "Port ${each.key} anywhere: AWS, Strava and Open-Meteo, or a database with changing addresses"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}

resource "aws_vpc_security_group_egress_rule" "tasks_kafka" {
  security_group_id = aws_security_group.tasks.id
  description       = "Kafka with IAM, within the VPC"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = 9098
  to_port           = 9098
}
