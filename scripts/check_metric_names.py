"""Every metric that the dashboard and the alarms name must be one that the program emits.

Usage: check_metric_names.py [METRICS]    METRICS: what a running service gives at /metrics; its names must be known too
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "crates/filot/src").rglob("*.rs")))

problems = []
emitted = set(re.findall(r'(?:counter|gauge|histogram)!\(\s*"(filot_\w+)"', SOURCE))
dashboard = json.loads((ROOT / "deploy/grafana/filot.json").read_text())
shown = set()
for panel in dashboard["panels"]:
    for target in panel.get("targets", []):
        for name in re.findall(r"\bfilot_\w+", target["expr"]):
            shown.add(re.sub(r"_(bucket|sum|count)$", "", name) if name not in emitted else name)
problems += [f"the dashboard shows {name}, which nothing emits" for name in sorted(shown - emitted)]
if len(sys.argv) > 1:
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
    served = {re.match(r"filot_\w+", line)[0] for line in lines if line.startswith("filot_")}
    served = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in emitted else name for name in served}
    problems += [f"the service gives {name}, which the source does not name" for name in sorted(served - emitted)]

# CloudWatch: names and dimensions as the program's table has them.
table = {}
for block in re.findall(r"Row \{(.*?)\}", SOURCE, re.S):
    name = re.search(r'name: "(filot\.[\w.]+)"', block)
    if name:
        table[name[1]] = {dimension for _, dimension in re.findall(r'\("(\w+)", "(\w+)"\)', block)}
for alarm in json.loads((ROOT / "deploy/alarms.json").read_text()):
    if alarm["namespace"] != "FiLot":
        continue
    if alarm["metric"] not in table:
        problems.append(f"alarm {alarm['name']}: nothing emits {alarm['metric']}")
    elif set(alarm["dimensions"]) != table[alarm["metric"]]:
        problems.append(f"alarm {alarm['name']}: {alarm['metric']} has the dimensions {sorted(table[alarm['metric']])}")
terraform = "\n".join(path.read_text() for path in sorted((ROOT / "deploy/terraform").glob("*.tf")))
for name, dimensions in re.findall(r'metric_name\s*= "(filot\.[\w.]+)"\s*\n\s*dimensions\s*= \{([^}]*)\}', terraform):
    own = set(re.findall(r"(\w+)\s*=", dimensions)) - {"Environment"}
    if table.get(name) != own:
        problems.append(f"deploy/terraform: {name} with {sorted(own)} is not what the program emits")
if problems:
    sys.exit("\n".join(f"check_metric_names: {problem}" for problem in problems))
unseen = sorted(emitted - shown - {"filot_queue_length"})
print(f"{len(shown)} metrics on the dashboard and {len(table)} of CloudWatch are as the program emits them"
      + (f"; not on the dashboard: {', '.join(unseen)}" if unseen else ""))
