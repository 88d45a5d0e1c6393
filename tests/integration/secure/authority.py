"""A certificate authority for tests, made with the openssl command: keys, certificates, expired ones too."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

CONFIG = """\
[ca]
default_ca = test
[test]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, in PEM files."""

    certificate: Path
    key: Path

    def with_key(self) -> Path:
        """Both in one file, as Kafka reads them."""
        path = self.certificate.with_suffix(".both.pem")
        path.write_text(self.key.read_text() + self.certificate.read_text())
        return path


class Authority:
    """Issues certificates for names that `subjectAltName` understands, such as IP:127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(CONFIG.format(folder=folder))
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test CA"),
            *("-keyout", self._key, "-out", self.ca),
        )

    def issue(self, name: str, alternative: str, *, expired: bool = False) -> Certificate:
        """A certificate that is valid today, or was in the year 2020."""
        key, request, made = (self._folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        _openssl(
            *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", key),
            *("-addext", f"subjectAltName={alternative}", "-out", request),
        )
        when = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z") if expired else ("-days", "2")
        _openssl(
            *("ca", "-batch", "-notext", "-config", self._folder / "ca.cnf", "-in", request, "-out", made),
            *("-cert", self.ca, "-keyfile", self._key, *when),
        )
        return Certificate(made, key)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
