# What the network's switch makes, and that nobody comes in.

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variables {
  prefix             = "voyager-test"
  region             = "eu-central-1"
  cidr               = "10.20.0.0/16"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
  private_access     = "none"
  endpoint_services  = ["ecs", "logs"]
  database_ports     = [5432]
}

run "the_cheap_default_has_neither_nat_nor_paid_endpoints" {
  command = plan
  module {
    source = "./modules/network"
  }
  assert {
    condition     = length(aws_nat_gateway.main) == 0 && length(aws_eip.nat) == 0 && length(aws_vpc_endpoint.interface) == 0
    error_message = "each of these costs more a month than everything else"
  }
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "only the gateway endpoint is free"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.endpoints_https) == 0
    error_message = "nobody comes in"
  }
  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.tasks_internet)) == toset(["443", "5432"])
    error_message = "tasks call HTTPS and the database, nothing else"
  }
}

run "nat_is_one_and_not_one_a_zone" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    private_access = "nat"
  }
  assert {
    condition     = length(aws_nat_gateway.main) == 1 && length(aws_route.private_to_nat) == 1 && length(aws_vpc_endpoint.interface) == 0
    error_message = "one NAT, and the private subnets' way to it"
  }
}

run "endpoints_are_one_a_service_and_admit_the_vpc_only" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    private_access = "endpoints"
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 2 && length(aws_nat_gateway.main) == 0
    error_message = "one endpoint a service and no NAT"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints_https[0].cidr_ipv4 == "10.20.0.0/16"
    error_message = "only the VPC may call them"
  }
}
