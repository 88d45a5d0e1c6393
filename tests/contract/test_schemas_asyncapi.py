"""The AsyncAPI document against the official JSON Schema of AsyncAPI 3.0.0.

The schema comes from the npm package `@asyncapi/specs` (Apache-2.0) at test time and is kept in an ignored
folder. Without npm, or without a network, the test is skipped: the structural tests beside it always run.
"""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml
from jsonschema.validators import validator_for

from genrestream.schemas.documents import FOLDER

ROOT = Path(__file__).parents[2]
PACKAGE = "@asyncapi/specs@6.11.1"
MEMBER = "package/schemas/3.0.0-without-$id.json"
NPM_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def official_schema():
    kept = ROOT / ".genrestream" / "cache" / "asyncapi-3.0.0.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("the official AsyncAPI schema comes from npm, which is not on the PATH")
    kept.parent.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", "--pack-destination", str(kept.parent), PACKAGE]
    try:
        packed = subprocess.run(
            command, capture_output=True, text=True, timeout=NPM_TIMEOUT_S, check=True, cwd=kept.parent
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm did not deliver {PACKAGE}: {error}")
    archive = kept.parent / packed.stdout.strip().splitlines()[-1]
    with tarfile.open(archive) as files:
        member = files.extractfile(MEMBER)
        assert member is not None
        kept.write_bytes(member.read())
    archive.unlink()
    return json.loads(kept.read_text())


def test_document_is_valid_asyncapi_3(official_schema):
    """The document is valid by the schema that AsyncAPI itself publishes."""
    document = yaml.safe_load((ROOT / FOLDER / "asyncapi.yaml").read_text())
    validator = validator_for(official_schema)(official_schema)
    assert [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(document)] == []


def test_the_official_schema_tells_wrong_documents(official_schema):
    """The check is no empty one: a wrong action is found."""
    document = yaml.safe_load((ROOT / FOLDER / "asyncapi.yaml").read_text())
    document["operations"]["sendLabels"]["action"] = "publish"
    validator = validator_for(official_schema)(official_schema)
    assert list(validator.iter_errors(document)) != []
