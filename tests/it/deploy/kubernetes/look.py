"""Looks at manifests: `json FILE…` prints their objects; `admit POLICY` judges the pods of standard input by an admission policy's expressions."""

import json
import sys

import yaml


def objects(files):
    for file in files:
        with open(file, encoding="utf-8") as text:
            yield from (one for one in yaml.safe_load_all(text) if one)


def refusals(policy, case):
    """The messages of what refuses a pod; the expressions are compiled by CEL's own implementation."""
    from cel_expr_python import cel

    spec, request = policy["spec"], {"subResource": case.get("subResource", "")}
    kinds = {"object": cel.Type.DYN, "request": cel.Type.DYN, "variables": cel.Type.DYN}
    environment = cel.NewEnv(variables=kinds)
    known = {"object": case["object"], "request": request, "variables": {}}

    def value(expression):
        result = environment.compile(expression).eval(data=known).plain_value()
        if isinstance(result, Exception):
            raise result
        return result

    if not all(value(one["expression"]) for one in spec["matchConditions"]):
        return []
    for variable in spec["variables"]:
        known["variables"][variable["name"]] = value(variable["expression"])
    found = []
    for one in spec["validations"]:
        passes = value(one["expression"])
        if not isinstance(passes, bool):
            raise SystemExit(f"{one['expression']}: {passes!r} is no answer")
        if not passes:
            found.append(one["message"])
    return found


if sys.argv[1] == "json":
    json.dump(list(objects(sys.argv[2:])), sys.stdout)
else:
    [policy] = [one for one in objects(sys.argv[2:3]) if one["kind"] == "ValidatingAdmissionPolicy"]
    json.dump([refusals(policy, case) for case in json.load(sys.stdin)], sys.stdout)
