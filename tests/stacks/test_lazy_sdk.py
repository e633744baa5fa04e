"""Behind the lazy finder the SDK gives the program the same objects, and loads little else."""

import json
import subprocess
import sys

import pytest

from tests.stacks.files import PROJECT

LAZILY = "from stacks import lazy_sdk; lazy_sdk.install()\n"
# For each name that the package offers, where it comes from.
ORIGINS = """
import importlib, json, sys
# Its first attribute is what loads a package of this SDK.
importlib.import_module({package!r}).outputs
package = sys.modules[{package!r}]
names = {names}
print(json.dumps({{name: getattr(getattr(package, name), "__module__", "?") for name in names}}))
"""
EVERY_NAME = "[n for n in dir(package) if not n.startswith('_') and hasattr(getattr(package, n), '__module__')]"


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", ["pulumi_aws.ec2", "pulumi_aws.rds", "pulumi_aws.ecs"])
def test_every_name_of_a_package_is_the_one_that_the_whole_package_has(package):
    eagerly = json.loads(python(ORIGINS.format(package=package, names=EVERY_NAME)))
    lazily = json.loads(python(LAZILY + ORIGINS.format(package=package, names=sorted(eagerly))))
    assert len(eagerly) > 50
    assert lazily == eagerly


def test_only_what_is_named_is_loaded():
    loaded = python(
        LAZILY + "import sys, pulumi_aws as aws\naws.ec2.Vpc, aws.ec2.Subnet\n"
        "print(*sorted(name for name in sys.modules if name.startswith('pulumi_aws.ec2.')))"
    )
    assert loaded.split() == ["pulumi_aws.ec2.subnet", "pulumi_aws.ec2.vpc"]


def test_submodules_and_output_types_are_found():
    program = "import pulumi_aws as aws\nprint(aws.ecs.outputs.__name__, aws.ec2.vpc.__name__)"
    assert python(LAZILY + program).split() == ["pulumi_aws.ecs.outputs", "pulumi_aws.ec2.vpc"]


def test_a_name_that_the_package_has_not_is_refused():
    program = "import pulumi_aws as aws\ntry: aws.ec2.Vcp\nexcept AttributeError as error: print(error)"
    assert python(LAZILY + program).strip() == "module 'pulumi_aws.ec2' has no attribute 'Vcp'"


def test_a_package_that_is_all_in_one_folder_is_lazy_too():
    loaded = python(
        LAZILY + "import sys, pulumi_cloudflare as cloudflare\ncloudflare.DnsRecord, cloudflare.Provider\n"
        "print(*sorted(name for name in sys.modules if name.startswith('pulumi_cloudflare.')))"
    ).split()
    assert {"pulumi_cloudflare.dns_record", "pulumi_cloudflare.provider"} <= set(loaded)
    assert len(loaded) < 10
