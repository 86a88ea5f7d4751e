"""What runs inside the sandbox: sets the limits, then the program. Never import it; it trusts nothing but its caller.

`runner.py SETTINGS_FD STARTED_FD`: reads settings (JSON) from the first, tells on the second that the limits hold, and
closes both before the first line of the program runs. Only the standard library.
"""

import importlib.util
import json
import os
import resource
import sys
from typing import Any

PRELUDE = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics"),
    *("itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
"""Modules whose public names a program finds defined, later ones winning, as in LiveCodeBench's own harness."""


def main() -> None:
    """Set the limits, load the program, call its function if one is named, and write the result after the mark."""
    settings_fd, started_fd = map(int, sys.argv[1:])
    with os.fdopen(settings_fd) as settings_file:
        settings = json.load(settings_file)
    for name, limit in settings["limits"].items():
        resource.setrlimit(getattr(resource, name), (limit, limit))
    os.write(started_fd, b"started")
    os.close(started_fd)

    sys.argv[:] = ["main.py"]
    sys.path[:] = [path for path in sys.path if path != "/box"] + ["/site"]
    sys.dont_write_bytecode = True
    sys.setrecursionlimit(50_000)  # both are LiveCodeBench's
    sys.set_int_max_str_digits(50_000)
    function = settings["function"]
    if function is None:
        try:
            load("__main__")
        except SystemExit:
            sys.stdout.flush()
        return
    arguments = json.load(sys.stdin)
    result_fd = os.dup(1)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    names = load("solution")
    owner = names["Solution"]() if "Solution" in names else None
    call = names[function] if owner is None else getattr(owner, function)
    result = json.dumps(call(*arguments), default=lambda value: value.tolist())
    with os.fdopen(result_fd, "w") as out:
        out.write(settings["mark"] + result + "\n")


def load(name: str) -> dict[str, Any]:
    """The names of the program after it ran as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, "/box/main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    names = vars(module)
    for prelude in PRELUDE:
        found = importlib.import_module(prelude)
        public = getattr(found, "__all__", [key for key in vars(found) if not key.startswith("_")])
        names.update({key: getattr(found, key) for key in public})
    names.update({prelude: sys.modules[prelude] for prelude in PRELUDE})
    names["quit"] = sys.exit  # `site`, which isn't loaded here, would bring one
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return names


main()
