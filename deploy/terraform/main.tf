# FiLot on AWS: the API on Fargate behind a load balancer, GPU workers on g4dn instances. PostgreSQL, Redis and R2 are
# somewhere else and come in as secrets and settings.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  # Production has the plain names that the scripts know; staging may share the account.
  prefix = var.environment == "production" ? "filot" : "filot-${var.environment}"
  port   = 8080

  account_root = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"

  api_name = "${local.prefix}-backend"
  gpu_name = "${local.prefix}-ocr-gpu-worker"

  # Secrets by the name of their environment variable. Those of an integration exist when it is switched on.
  secrets = toset(concat(
    ["DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SESSION_SECRET", "SERVICE_INTERNAL_KEY", "CF_R2_ACCESS_KEY_ID",
    "CF_R2_SECRET_ACCESS_KEY", "FILOT_METRICS_TOKEN", "FILOT_AUDIT_SIGNING_KEY"],
    var.redis_password ? ["REDIS_PASSWORD"] : [],
    var.buli2_api_url != "" ? ["BULI2_API_KEY", "BULI2_SIGNATURE_SECRET"] : [],
    var.temporal != null ? ["TEMPORAL_API_KEY"] : [],
    var.mail_from != "" ? ["FILOT_MAIL_SMTP_URL"] : [],
  ))

  # What API and GPU worker share. Numbers that are not here keep the defaults of filot.toml.
  settings = merge(
    {
      NODE_ENV                 = var.environment
      LOG_LEVEL                = var.log_level
      LOG_FORMAT               = "json"
      FILOT_PUBLIC_URL         = var.public_url
      FILOT_FRONTEND_ORIGIN    = var.frontend_origin
      CF_R2_ENDPOINT           = var.r2_endpoint
      CF_R2_BUCKET_NAME        = var.r2_bucket
      CF_R2_REGION             = "auto"
      QUEUE_PREFIX             = "filot"
      OCR_GPU_ENABLED          = tostring(var.gpu_enabled)
      OCR_GPU_AUTOFALLBACK     = "true"
      OCR_ENGINE               = var.temporal != null ? "temporal" : "queue"
      OCR_AUTOFALLBACK         = "true"
      METRICS_ENABLED          = "true"
      METRICS_NAMESPACE        = "FiLot"
      CLOUDWATCH_ENABLED       = "true"
      DATABASE_MAX_CONNECTIONS = "16"
    },
    var.buli2_api_url != "" ? {
      # Answers come to /internal/reviews of FILOT_PUBLIC_URL, the default of BULI2_CALLBACK_URL.
      BULI2_API_URL = var.buli2_api_url
    } : {},
    var.stack_project_id != "" ? { STACK_PROJECT_ID = var.stack_project_id } : {},
    var.mail_from != "" ? { FILOT_MAIL_FROM = var.mail_from } : {},
    var.temporal != null ? {
      TEMPORAL_ENDPOINT  = var.temporal.endpoint
      TEMPORAL_NAMESPACE = var.temporal.namespace
    } : {},
    var.extra_environment,
  )

  # Only the API answers anybody, hands reviews over and signs: a GPU worker reads, and gets no more than that needs.
  gpu_secrets = setintersection(local.secrets, toset([
    "DATABASE_URL", "REDIS_URL", "REDIS_PASSWORD", "CF_R2_ACCESS_KEY_ID", "CF_R2_SECRET_ACCESS_KEY", "TEMPORAL_API_KEY",
  ]))

  # ECS gives lists back sorted by name; written so, a second plan shows no change.
  secret_references     = [for name in sort(local.secrets) : { name = name, valueFrom = aws_secretsmanager_secret.this[name].arn }]
  gpu_secret_references = [for name in sort(local.gpu_secrets) : { name = name, valueFrom = aws_secretsmanager_secret.this[name].arn }]
}
