"""An AWS double for scripts/terraform-check.sh: moto's server, with what it lacks added.

Usage: aws_double.py --host 127.0.0.1 --port PORT (the options of moto_server)

The provider asks for the tags of scalable targets, which moto 5.2 does not keep; here they are kept.
"""

import json
import sys

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.server import main

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


ADDED = (register_scalable_target, list_tags_for_resource, tag_resource, untag_resource)
for method in ADDED:
    setattr(ApplicationAutoScalingResponse, method.__name__, method)

if __name__ == "__main__":
    main(sys.argv[1:])
