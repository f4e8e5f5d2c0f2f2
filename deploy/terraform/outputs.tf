output "balancer" {
  description = "Where the public name must point to."
  value       = aws_lb.this.dns_name
}

output "repositories" {
  description = "Where the images go."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
}

output "secrets" {
  description = "Secrets that need a value before the first start."
  value       = [for secret in aws_secretsmanager_secret.this : secret.name]
}

output "alarm_topic" {
  description = "Where alarms go."
  value       = aws_sns_topic.alarms.arn
}
