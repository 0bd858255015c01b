"""Builds the package's wheel: its files and three of metadata, as PEP 427 and PEP 517 have it. Nothing is compiled."""

import base64
import hashlib
import os
import re
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))


def _project():
    """The plain strings of [project]; tomllib is not in every Python that is supported."""
    with open(os.path.join(HERE, "pyproject.toml"), encoding="utf-8") as file:
        table = file.read().split("[project]\n", 1)[1].split("\n[", 1)[0]
    return dict(re.findall(r'^([\w-]+) = "(.*)"$', table, re.M))


def _files(project):
    """Name in the wheel, and content."""
    folder = os.path.join(HERE, project["name"])
    for name in sorted(os.listdir(folder)):
        if name.endswith((".py", ".typed")):
            with open(os.path.join(folder, name), "rb") as file:
                yield f"{project['name']}/{name}", file.read()
    information = f"{project['name']}-{project['version']}.dist-info"
    yield f"{information}/METADATA", (
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\nSummary: {project['description']}\n"
        f"Requires-Python: {project['requires-python']}\nLicense: Apache-2.0\n").encode()
    yield f"{information}/WHEEL", b"Wheel-Version: 1.0\nGenerator: wheel_of_sources\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = _project()
    name = f"{project['name']}-{project['version']}-py3-none-any.whl"
    record = f"{project['name']}-{project['version']}.dist-info/RECORD"
    rows = []
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in _files(project):
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(content)}\n")
            wheel.writestr(path, content)
        wheel.writestr(record, "".join([*rows, f"{record},,\n"]))
    return name
