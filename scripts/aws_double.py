"""An AWS double for scripts/terraform-check.sh: moto's server, with what it forgets of a request remembered.

Usage: aws_double.py --host 127.0.0.1 --port PORT (the options of moto_server)

The double exists so that a second plan shows what Terraform would really change again. moto 5.2 drops some of what it is
sent; each addition below keeps one such thing and makes nothing up.
"""

import json
import sys

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.server import main

# Tags of scalable targets: the provider asks for them, and moto does not know the question.
TAGS: dict[str, dict[str, str]] = {}
register = ApplicationAutoScalingResponse.register_scalable_target


def register_scalable_target(self):
    answer = register(self)
    arn = json.loads(answer).get("ScalableTargetARN")
    if arn:
        TAGS.setdefault(arn, {}).update(self._get_param("Tags") or {})
    return answer


def list_tags_for_resource(self):
    return json.dumps({"Tags": TAGS.get(self._get_param("ResourceARN"), {})})


def tag_resource(self):
    TAGS.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags") or {})
    return "{}"


def untag_resource(self):
    for key in self._get_param("TagKeys") or []:
        TAGS.get(self._get_param("ResourceARN"), {}).pop(key, None)
    return "{}"


for method in (register_scalable_target, list_tags_for_resource, tag_resource, untag_resource):
    setattr(ApplicationAutoScalingResponse, method.__name__, method)

# What a service of ECS was asked to be.
KEPT = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "deploymentConfiguration": "deployment_configuration",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}


def keeping(handle):
    def kept(self):
        answer = handle(self)
        service = answer.result["service"]
        for name, attribute in KEPT.items():
            value = self._get_param(name)
            if value is not None:
                setattr(service, attribute, value)
        # The deployment that the update started; nothing runs here, so it is done at once.
        if service.deployments and service.task_definition:
            service.deployments[0]["taskDefinition"] = service.task_definition
        if getattr(service, "capacity_provider_strategy", None):
            # AWS names one of the two.
            service.launch_type = None
        return answer

    return kept


for name in ("create_service", "update_service"):
    setattr(EC2ContainerServiceResponse, name, keeping(getattr(EC2ContainerServiceResponse, name)))

# The description of a rule that names another group.
SecurityGroupRule.description = property(
    lambda rule: (rule.ip_range or {}).get("Description") or (rule.source_group or {}).get("Description")
)

# Tags of a launch template itself are not tags for what is launched from it.
new_version = LaunchTemplateVersion.__init__


def version(self, template, number, data, description):
    new_version(self, template, number, data, description)
    specifications = data.get("TagSpecifications", [])
    specifications[:] = [own for own in specifications if own.get("ResourceType") != "launch-template"]


LaunchTemplateVersion.__init__ = version

if __name__ == "__main__":
    main(sys.argv[1:])
