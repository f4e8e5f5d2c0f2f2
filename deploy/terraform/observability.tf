resource "aws_cloudwatch_log_group" "this" {
  for_each          = { api = "/ecs/${local.api_name}", gpu = "/ecs/${local.gpu_name}" }
  name              = each.value
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.this.arn
}

resource "aws_sns_topic" "alarms" {
  name              = "${local.prefix}-alarms"
  kms_master_key_id = aws_kms_key.this.arn
}

resource "aws_sns_topic_subscription" "alarms" {
  for_each  = var.alarm_emails
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

# The alarms stand in deploy/alarms.json, where a test can hold them against what the program emits.
locals {
  alarms = { for alarm in jsondecode(file("${path.module}/../alarms.json")) : alarm.name => alarm if var.gpu_enabled || !try(alarm.gpu, false) }

  scopes = merge(
    {
      filot         = { Environment = var.environment }
      load_balancer = { LoadBalancer = aws_lb.this.arn_suffix }
      target_group  = { LoadBalancer = aws_lb.this.arn_suffix, TargetGroup = aws_lb_target_group.api.arn_suffix }
      api_service   = { ClusterName = aws_ecs_cluster.api.name, ServiceName = aws_ecs_service.api.name }
    },
    var.gpu_enabled ? {
      gpu_service = { ClusterName = aws_ecs_cluster.gpu.name, ServiceName = aws_ecs_service.gpu[0].name }
    } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${local.prefix}-${each.key}"
  alarm_description   = each.value.meaning
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = merge(local.scopes[each.value.scope], try(each.value.dimensions, {}))
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

# Documents on the GPU lane while no GPU worker reads: neither metric alone shows it.
resource "aws_cloudwatch_metric_alarm" "gpu_idle" {
  count               = var.gpu_enabled ? 1 : 0
  alarm_name          = "${local.prefix}-gpu-idle-with-queue"
  alarm_description   = "Documents wait on the GPU lane and no GPU worker reads."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "idle"
    expression  = "IF(waiting > 0 AND active < 1, 1, 0)"
    label       = "waiting and idle"
    return_data = true
  }
  metric_query {
    id = "waiting"
    metric {
      namespace   = "FiLot"
      metric_name = "filot.queue_length"
      dimensions  = { Environment = var.environment, QueueType = "gpu" }
      period      = 300
      stat        = "Minimum"
    }
  }
  metric_query {
    id = "active"
    metric {
      namespace   = "FiLot"
      metric_name = "filot.gpu.active_jobs"
      dimensions  = { Environment = var.environment }
      period      = 300
      stat        = "Maximum"
    }
  }
}
