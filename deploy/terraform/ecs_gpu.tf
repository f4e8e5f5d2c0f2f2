# GPU workers: tasks on g4dn instances. An instance comes and goes with its task.

resource "aws_ecs_cluster" "gpu" {
  name = "${local.prefix}-ocr-gpu-cluster"
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_launch_template" "gpu" {
  count                  = var.gpu_enabled ? 1 : 0
  name                   = local.gpu_name
  image_id               = var.gpu_ami
  instance_type          = var.gpu_instance_type
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.gpu.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # One hop: the instance itself, not its containers.
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = 50
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = aws_kms_key.this.arn
      delete_on_termination = true
    }
  }

  user_data = base64encode(<<-EOT
    #!/bin/bash
    cat >>/etc/ecs/ecs.config <<'CONFIG'
    ECS_CLUSTER=${aws_ecs_cluster.gpu.name}
    ECS_ENABLE_GPU_SUPPORT=true
    ECS_AWSVPC_BLOCK_IMDS=true
    CONFIG
  EOT
  )

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = local.gpu_name }
  }
}

resource "aws_autoscaling_group" "gpu" {
  count               = var.gpu_enabled ? 1 : 0
  name                = local.gpu_name
  vpc_zone_identifier = var.private_subnet_ids
  min_size            = 0
  max_size            = var.gpu_count.max
  # ECS decides which instance may go.
  protect_from_scale_in = true

  launch_template {
    id      = aws_launch_template.gpu[0].id
    version = "$Latest"
  }

  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }

  # The capacity provider sets it.
  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "gpu" {
  count = var.gpu_enabled ? 1 : 0
  name  = local.gpu_name
  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.gpu[0].arn
    managed_termination_protection = "ENABLED"
    managed_scaling {
      status          = "ENABLED"
      target_capacity = 100
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "gpu" {
  count              = var.gpu_enabled ? 1 : 0
  cluster_name       = aws_ecs_cluster.gpu.name
  capacity_providers = [aws_ecs_capacity_provider.gpu[0].name]
  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.gpu[0].name
    weight            = 1
  }
}

resource "aws_ecs_task_definition" "gpu" {
  count                    = var.gpu_enabled ? 1 : 0
  family                   = local.gpu_name
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  execution_role_arn       = aws_iam_role.gpu_execution.arn
  task_role_arn            = aws_iam_role.task.arn
  # A g4dn.xlarge has 4 vCPU and 16 GB; the rest is for the system and the agent.
  cpu    = 3584
  memory = 13312

  volume {
    name = "tmp"
  }

  placement_constraints {
    type       = "memberOf"
    expression = "attribute:ecs.instance-type =~ g4dn.*"
  }

  container_definitions = jsonencode([{
    name                   = "gpu-worker"
    image                  = "${aws_ecr_repository.this[local.gpu_name].repository_url}:${var.gpu_image_tag}"
    essential              = true
    command                = ["worker", "--lane", "gpu"]
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    stopTimeout            = 30
    resourceRequirements   = [{ type = "GPU", value = "1" }]
    environment            = [for name in sort(keys(local.gpu_settings)) : { name = name, value = local.gpu_settings[name] }]
    secrets                = local.gpu_secret_references
    mountPoints            = [{ sourceVolume = "tmp", containerPath = "/tmp", readOnly = false }]
    portMappings           = []
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.this["gpu"].name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "gpu"
      }
    }
  }])
}

locals {
  gpu_settings = merge(local.settings, {
    # The schema is the API's business.
    DATABASE_MIGRATE           = "false"
    NVIDIA_DRIVER_CAPABILITIES = "compute,utility"
    # Four cards to a processor: most of them wait for the GPU.
    OCR_GPU_CONCURRENCY = "16"
  })
}

resource "aws_ecs_service" "gpu" {
  count           = var.gpu_enabled ? 1 : 0
  name            = "${local.prefix}-ocr-gpu-service"
  cluster         = aws_ecs_cluster.gpu.id
  task_definition = aws_ecs_task_definition.gpu[0].arn
  desired_count   = var.gpu_count.min
  propagate_tags  = "SERVICE"
  # A release replaces the worker in its place instead of starting a second instance; meanwhile documents wait, or fall
  # back to the CPU.
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100

  capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.gpu[0].name
    weight            = 1
  }

  network_configuration {
    subnets         = var.private_subnet_ids
    security_groups = [aws_security_group.gpu.id]
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }

  depends_on = [aws_ecs_cluster_capacity_providers.gpu, aws_iam_role_policy.gpu_execution]
}

# By the depth of the queue: one more worker when much waits, two more when very much does, one less after a quarter of
# an hour with nothing.
resource "aws_appautoscaling_target" "gpu" {
  count              = var.gpu_enabled ? 1 : 0
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.gpu.name}/${aws_ecs_service.gpu[0].name}"
  min_capacity       = var.gpu_count.min
  max_capacity       = var.gpu_count.max
}

resource "aws_appautoscaling_policy" "gpu_out" {
  count              = var.gpu_enabled ? 1 : 0
  name               = "${local.gpu_name}-out"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.gpu[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.gpu[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.gpu[0].resource_id
  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    # An instance needs minutes to start.
    cooldown = 300
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = var.gpu_documents_per_worker * 4
      scaling_adjustment          = 1
    }
    step_adjustment {
      metric_interval_lower_bound = var.gpu_documents_per_worker * 4
      scaling_adjustment          = 2
    }
  }
}

resource "aws_appautoscaling_policy" "gpu_in" {
  count              = var.gpu_enabled ? 1 : 0
  name               = "${local.gpu_name}-in"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.gpu[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.gpu[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.gpu[0].resource_id
  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 600
    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = -1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "gpu_out" {
  count               = var.gpu_enabled ? 1 : 0
  alarm_name          = "${local.gpu_name}-scale-out"
  alarm_description   = "Starts another GPU worker. Not for people."
  namespace           = "FiLot"
  metric_name         = "filot.queue_length"
  dimensions          = { Environment = var.environment, QueueType = "gpu" }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.gpu_documents_per_worker
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.gpu_out[0].arn]
}

resource "aws_cloudwatch_metric_alarm" "gpu_in" {
  count               = var.gpu_enabled ? 1 : 0
  alarm_name          = "${local.gpu_name}-scale-in"
  alarm_description   = "Ends a GPU worker. Not for people."
  namespace           = "FiLot"
  metric_name         = "filot.queue_length"
  dimensions          = { Environment = var.environment, QueueType = "gpu" }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  comparison_operator = "LessThanOrEqualToThreshold"
  threshold           = 0
  # Without a measurement nothing is ended.
  treat_missing_data = "missing"
  alarm_actions      = [aws_appautoscaling_policy.gpu_in[0].arn]
}
