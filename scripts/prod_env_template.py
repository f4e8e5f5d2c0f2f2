"""Writes prod.env.template from filot.toml: every setting as an environment variable, with its default and comment.

Usage: prod_env_template.py [--check]     --check: only says whether the file is up to date

A setting goes by the first name in capitals at the start of its comment, and else by FILOT_<SECTION>_<KEY>.
"""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "prod.env.template"

# What production cannot do without, or should not; the values show the form only.
REQUIRED = {
    "NODE_ENV": "production",
    "HOST": "0.0.0.0",
    "LOG_FORMAT": "json",
    "FILOT_PUBLIC_URL": "https://api.example.com",
    "FILOT_FRONTEND_ORIGIN": "https://app.example.com",
    "FILOT_SERVER_TRUSTED_PROXIES": "1",
    "DATABASE_URL": "",
    "REDIS_URL": "",
    "CF_R2_ENDPOINT": "",
    "CF_R2_BUCKET_NAME": "",
    "CF_R2_ACCESS_KEY_ID": "",
    "CF_R2_SECRET_ACCESS_KEY": "",
    "JWT_SECRET": "",
    "SESSION_SECRET": "",
    "SERVICE_INTERNAL_KEY": "",
    "FILOT_METRICS_TOKEN": "",
    "FILOT_AUDIT_CHECKPOINT_BUCKET": "",
}
SECRETS = re.compile(r"(SECRET|PASSWORD|_KEY$|_KEY_ID$|TOKEN$|^DATABASE_URL$|^REDIS_URL$|SMTP_URL$)")

HEAD = """\
# Every setting of FiLot as an environment variable. Written by scripts/prod_env_template.py from filot.toml; do not edit.
#
# Copy it to prod.env, which is never committed, fill in the first part, and uncomment what should differ from its
# default. `openssl rand -base64 48` makes a secret; each must be another one. An empty value is the same as none.
# On AWS the secrets lie in Secrets Manager (deploy/terraform) and this file is only for looking things up.
"""


def settings(text):
    """(section, key, default as text, comment, variable) of every setting, in the file's order."""
    defaults = tomllib.loads(text)
    # `above` is the comment before a group of settings; it is told once, with the first of them.
    section, above = "", []
    for line in text.splitlines():
        if header := re.fullmatch(r"\[(\w+)]", line.strip()):
            section, above = header[1], []
        elif line.startswith("#"):
            above.append(line[1:].strip())
        elif assignment := re.match(r'(\w+)\s*=\s*("[^"]*"|[^#\s]+)\s*(?:#\s*(.*))?$', line):
            key, _, comment = assignment.groups()
            value = defaults[section].pop(key)
            text_value = str(value).lower() if isinstance(value, bool) else str(value)
            comment = comment or ""
            named = re.match(r"([A-Z][A-Z0-9_]+)\b(?: or [A-Z][A-Z0-9_]+)*(?::\s*)?", comment)
            variable = f"FILOT_{section}_{key}".upper()
            # One word in capitals may also be the beginning of a sentence, such as GPU; names have a _ or stand alone.
            if named and ("_" in named[1] or comment == named[1] or comment[len(named[1]):].startswith((":", " or "))):
                variable, comment = named[1], comment[named.end():].strip()
            yield section, key, text_value, " ".join(filter(None, [" ".join(above), comment])), variable
            above = []
        elif not line.strip():
            above = []
    left = [f"{name}.{key}" for name, keys in defaults.items() for key in keys]
    if left:
        sys.exit(f"prod_env_template: not understood in filot.toml: {', '.join(left)}")


def template():
    found = list(settings((ROOT / "filot.toml").read_text()))
    by_name = {variable: (default, comment) for _, _, default, comment, variable in found}
    missing = REQUIRED.keys() - by_name.keys()
    if missing:
        sys.exit(f"prod_env_template: no setting is called {', '.join(sorted(missing))}")
    lines = [HEAD, "# --- what production needs ---"]
    for name, value in REQUIRED.items():
        comment = by_name[name][1]
        lines += ["", *told(name, comment), f"{name}={value}"]
    section = None
    for own_section, _, default, comment, variable in found:
        if variable in REQUIRED:
            continue
        if own_section != section:
            section = own_section
            lines += ["", f"# --- [{section}] ---"]
        lines += ["", *told(variable, comment), f"#{variable}={default}"]
    return "\n".join(lines) + "\n"


def told(variable, comment):
    text = " ".join(filter(None, [comment, "(secret)" if is_secret(variable) else ""]))
    return [f"# {text}"] if text else []


def is_secret(variable):
    return bool(SECRETS.search(variable))


if __name__ == "__main__":
    wanted = template()
    if "--check" in sys.argv[1:]:
        if not TEMPLATE.exists() or TEMPLATE.read_text() != wanted:
            sys.exit("prod.env.template is not what filot.toml says: python3 scripts/prod_env_template.py")
        print("prod.env.template is up to date")
    else:
        TEMPLATE.write_text(wanted)
