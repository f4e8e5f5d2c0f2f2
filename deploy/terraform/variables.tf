variable "region" {
  description = "AWS region."
  type        = string
  default     = "ap-southeast-2"
}

variable "environment" {
  description = "staging or production: NODE_ENV of the program, the dimension Environment of its metrics, a part of names."
  type        = string
  default     = "production"
  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

# --- network -------------------------------------------------------------------------------------------------------

variable "vpc_id" {
  description = "The VPC that everything goes into."
  type        = string
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, in at least two zones."
  type        = list(string)
  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "A load balancer needs subnets in at least two zones."
  }
}

variable "private_subnet_ids" {
  description = "Subnets of the instances. They need a way out (NAT) to ECR, Secrets Manager, R2, PostgreSQL and Redis."
  type        = list(string)
}

variable "ingress_cidrs" {
  description = "Who may reach the load balancer: everybody, or only the edge in front of it."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "certificate_arn" {
  description = "ACM certificate of the public name."
  type        = string
}

variable "access_log_bucket" {
  description = "S3 bucket for the load balancer's access log; empty: none."
  type        = string
  default     = ""
}

variable "trusted_proxies" {
  description = "Proxies that append to X-Forwarded-For: 1 for the load balancer, 2 with an edge such as Cloudflare before it."
  type        = number
  default     = 1
}

variable "egress" {
  description = "Where instances may connect to beside port 443: PostgreSQL, Redis, Temporal."
  type        = map(object({ port = number, cidrs = list(string) }))
}

# --- what the program is told --------------------------------------------------------------------------------------

variable "public_url" {
  description = "Where clients reach the API, such as https://api.example.com."
  type        = string
}

variable "frontend_origin" {
  description = "The one origin that browsers may call from."
  type        = string
  default     = "https://app.filot.me"
}

variable "r2_endpoint" {
  description = "CF_R2_ENDPOINT: https://ACCOUNT.r2.cloudflarestorage.com, or any S3."
  type        = string
}

variable "r2_bucket" {
  description = "CF_R2_BUCKET_NAME."
  type        = string
}

variable "checkpoint_bucket" {
  description = "Bucket of the same store for checkpoints of the audit trail: another one than r2_bucket, locked against change and deletion."
  type        = string
  validation {
    condition     = length(var.checkpoint_bucket) > 0
    error_message = "Without checkpoints nobody can tell that the end of the audit trail was cut off."
  }
}

variable "redis_password" {
  description = "Whether REDIS_PASSWORD is a secret of its own. If not, it stands in REDIS_URL."
  type        = bool
  default     = false
}

variable "buli2_api_url" {
  description = "BULI2_API_URL; empty: reviews happen in FiLot's own console."
  type        = string
  default     = ""
}

variable "stack_project_id" {
  description = "STACK_PROJECT_ID; empty: local accounts only."
  type        = string
  default     = ""
}

variable "mail_from" {
  description = "FILOT_MAIL_FROM, the sender of mails that confirm an address; empty: none are sent, and nobody makes an account by themselves. The mail server, as in smtps://USER:PASSWORD@HOST, is the secret FILOT_MAIL_SMTP_URL; egress has to let it through."
  type        = string
  default     = ""
}

variable "temporal" {
  description = "Temporal, if documents go through it (images built with FEATURES=temporal); null: the queue."
  type        = object({ endpoint = string, namespace = string })
  default     = null
}

variable "log_level" {
  description = "LOG_LEVEL."
  type        = string
  default     = "info"
}

variable "extra_environment" {
  description = "Further settings of filot.toml as environment variables. No secrets: these are readable in the console."
  type        = map(string)
  default     = {}
}

# --- size ----------------------------------------------------------------------------------------------------------

variable "api_image_tag" {
  description = "Tag of the API's image for the first start. Later ones are rolled out by scripts/deploy-backend.sh."
  type        = string
}

variable "api_count" {
  description = "Least and most instances of the API."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 8 }
}

variable "gpu_enabled" {
  description = "Whether there are GPU workers. Without them the API's instances read."
  type        = bool
  default     = true
}

variable "gpu_image_tag" {
  description = "Tag of the GPU worker's image for the first start. Later ones are rolled out by scripts/deploy-ocr-gpu.sh."
  type        = string
}

variable "gpu_count" {
  description = "Least and most GPU workers; each has an instance of its own."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 4 }
}

variable "gpu_instance_type" {
  description = "Instance type of the GPU workers."
  type        = string
  default     = "g4dn.xlarge"
  validation {
    condition     = startswith(var.gpu_instance_type, "g4dn.")
    error_message = "The sizes of the task are those of g4dn; change ecs_gpu.tf with this."
  }
}

variable "gpu_ami" {
  description = "AMI of the GPU instances: an id, or a parameter that names one. Its driver must know CUDA 13 (580 or newer)."
  type        = string
  default     = "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"
}

variable "gpu_documents_per_worker" {
  description = "Documents waiting on the GPU lane from which another worker is started."
  type        = number
  default     = 20
}

# --- operation -----------------------------------------------------------------------------------------------------

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365
}

variable "alarm_emails" {
  description = "Who is told of alarms. Each address has to confirm once."
  type        = set(string)
  default     = []
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
  default     = true
}
