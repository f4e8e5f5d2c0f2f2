resource "aws_security_group" "balancer" {
  name        = "${local.prefix}-balancer"
  description = "FiLot: the load balancer"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  #checkov:skip=CKV_AWS_260:port 80 only answers with the address of port 443
  for_each = {
    for pair in setproduct(var.ingress_cidrs, [80, 443]) : "${pair[0]} ${pair[1]}" => { cidr = pair[0], port = pair[1] }
  }
  security_group_id = aws_security_group.balancer.id
  description       = "clients, port ${each.value.port}"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "the API"
  referenced_security_group_id = aws_security_group.api.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_security_group" "api" {
  name        = "${local.prefix}-api"
  description = "FiLot: the API"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "api" {
  security_group_id            = aws_security_group.api.id
  description                  = "the load balancer"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

# GPU workers listen on nothing: no ingress at all.
resource "aws_security_group" "gpu" {
  name        = "${local.prefix}-gpu"
  description = "FiLot: the GPU workers"
  vpc_id      = var.vpc_id
}

locals {
  outbound = merge(
    # ECR, Secrets Manager, CloudWatch, R2, Stack Auth, BULI2.
    { https = { port = 443, cidrs = ["0.0.0.0/0"] } },
    var.egress,
  )
  outbound_rules = merge([
    for name, target in local.outbound : {
      for pair in setproduct(["api", "gpu"], target.cidrs) : "${pair[0]} ${name} ${pair[1]}" => {
        group = pair[0], name = name, port = target.port, cidr = pair[1]
      }
    }
  ]...)
}

resource "aws_vpc_security_group_egress_rule" "outbound" {
  for_each          = local.outbound_rules
  security_group_id = each.value.group == "api" ? aws_security_group.api.id : aws_security_group.gpu.id
  description       = each.value.name
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}
