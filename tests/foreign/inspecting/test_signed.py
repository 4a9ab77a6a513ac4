"""Signatures beside files: what `inspect` says, and when its status is 1. Keys and signatures are made here, offline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import graphspec
from onnx_files import dense, outside, write

from graphspec.foreign.inspecting.signed import signed_record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "net.onnx", dense())


def test_without_a_key_nothing_is_checked(file: Path) -> None:
    assert signed_record(file, None) is None
    assert "signature" not in graphspec("inspect", file).stdout
    assert json.loads(graphspec("inspect", file, "--json").stdout)["signed"] is None
    file.with_name("net.onnx.sig").write_text("{}", encoding="utf-8")
    file.with_name("net.onnx.pub").write_text("a key that nobody has named", encoding="utf-8")
    done = graphspec("inspect", file)
    assert done.exit_code == 0
    assert f"signature   {file}.sig not checked; give --key with the maker's public key" in done.stdout
    record = json.loads(graphspec("inspect", file, "--json").stdout)["signed"]
    assert record == {"file": f"{file}.sig", "key": None, "status": "not checked", "reason": None}


@pytest.mark.parametrize(
    ("module", "package"),
    [("model_signing.verifying", "model-signing"), pytest.param("OpenSSL", "pyopenssl", marks=pytest.mark.slow)],
)
def test_a_library_that_is_missing_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    if package == "pyopenssl":
        pytest.importorskip("model_signing")
        for name in [name for name in sys.modules if name.startswith("model_signing")]:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    done = graphspec("inspect", file, "--key", file)
    assert done.exit_code == 2
    assert f"--key needs {package}; install it with `pip install " in done.stderr


@dataclass(frozen=True)
class Maker:
    """Who signs: a private key, its public key or certificate in a folder of its own, and a function that signs."""

    key: Path
    sign: Callable[[Path], None]


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Maker]:
    signing = pytest.importorskip("model_signing.signing", reason='pip install -e ".[sign]"')
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    folder, now = tmp_path_factory.mktemp("keys"), datetime.now(UTC)

    def private(name: str) -> tuple[Any, Path]:
        key, path = ec.generate_private_key(ec.SECP256R1()), folder / f"{name}.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key, path

    def certificate(name: str, own: Any, issuer: str, issued_by: Any, *, ca: bool) -> Path:
        subject, by = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in (name, issuer))
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
        )
        usage |= {"digital_signature": not ca, "key_cert_sign": ca, "crl_sign": ca, "decipher_only": False}
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(own.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        builder = builder.not_valid_after(now + timedelta(days=2))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        if not ca:
            code = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING])
            builder = builder.add_extension(code, critical=False)
        path = folder / f"{name}.crt"
        path.write_bytes(builder.sign(issued_by, hashes.SHA256()).public_bytes(Encoding.PEM))
        return path

    found = {}
    for name in ("maker", "stranger"):
        key, path = private(name)
        public = folder / f"{name}.pub"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        config = signing.Config().use_elliptic_key_signer(private_key=path)
        found[name] = Maker(public, lambda p, config=config: config.sign(p, f"{p}.sig"))
    root, _ = private("root")
    leaf, path = private("leaf")
    above = certificate("root", root, "root", root, ca=True)
    config = signing.Config().use_certificate_signer(
        private_key=path,
        signing_certificate=certificate("leaf", leaf, "root", root, ca=False),
        certificate_chain=[above],
    )
    found["certified"] = Maker(above, lambda p: config.sign(p, f"{p}.sig"))
    return found


def changed(file: Path) -> None:
    model = dense()
    model.doc_string = "another file"
    write(file, model)


def no_signature(file: Path) -> None:
    file.with_name("net.onnx.sig").unlink()


def damaged(file: Path) -> None:
    file.with_name("net.onnx.sig").write_text('{"a": "\x1b[31m"', encoding="utf-8")


def of_another_file(file: Path) -> None:
    signature = file.with_name("net.onnx.sig")
    payload = json.loads(signature.read_text(encoding="utf-8"))
    payload["dsseEnvelope"]["payload"] = payload["dsseEnvelope"]["payload"][::-1]
    signature.write_text(json.dumps(payload), encoding="utf-8")


def huge(file: Path) -> None:
    with file.with_name("net.onnx.sig").open("wb") as signature:
        signature.truncate((16 << 20) + 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signer", "key", "change", "said"),
    [
        ("maker", "maker", None, ".sig verifies with {key}\n"),
        ("certified", "certified", None, ".sig verifies with {key}\n"),
        ("maker", "stranger", None, "does not verify with {key}: it was made with another key"),
        ("certified", "maker", None, "does not verify with {key}: it is not valid ("),
        ("maker", "certified", None, "does not verify with {key}: it is not valid ("),
        ("maker", "maker", changed, "does not verify with {key}: the file has changed"),
        ("certified", "certified", changed, "does not verify with {key}: the file has changed"),
        ("maker", "maker", no_signature, ".sig is missing"),
        ("maker", "maker", damaged, "does not verify with {key}: it is not valid ("),
        ("maker", "maker", of_another_file, "does not verify with {key}: it is not valid ("),
        ("maker", "maker", huge, "does not verify with {key}: it is larger than 16 MiB"),
    ],
)
def test_a_signature_is_checked_with_the_key_that_is_named(
    file: Path, makers: dict[str, Maker], signer: str, key: str, change: Callable[[Path], None] | None, said: str
) -> None:
    makers[signer].sign(file)
    if change is not None:
        change(file)
    named = makers[key].key
    done = graphspec("inspect", file, "--key", named)
    assert said.format(key=named) in done.stdout, done.stdout
    assert done.exit_code == (0 if " verifies " in said else 1)
    assert "\x1b" not in done.stdout
    record = json.loads(graphspec("inspect", file, "--key", named, "--json").stdout)["signed"]
    assert record["key"] == str(named)
    assert (record["status"] == "verifies") == (done.exit_code == 0)


@pytest.mark.slow
def test_a_key_beside_the_file_is_doubted(file: Path, makers: dict[str, Maker]) -> None:
    makers["stranger"].sign(file)
    shutil.copy(makers["stranger"].key, file.parent / "maker.pub")
    assert graphspec("inspect", file).stdout.count("not checked") == 1
    done = graphspec("inspect", file, "--key", file.parent / "maker.pub")
    assert done.exit_code == 0
    assert "the key lies beside the file: is it the maker's?" in done.stdout


@pytest.mark.slow
def test_weights_in_another_file_are_not_covered(tmp_path: Path, makers: dict[str, Maker]) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(1 << 12))
    file = write(tmp_path / "net.onnx", outside("w.bin"))
    makers["maker"].sign(file)
    done = graphspec("inspect", file, "--key", makers["maker"].key)
    assert done.exit_code == 1
    assert "it does not cover 'w.bin'; sign the folder" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maker.key", "root.key", "rsa.pub", "other"])
def test_what_is_no_public_key_is_refused(file: Path, makers: dict[str, Maker], name: str) -> None:
    path = makers["maker"].key.with_name(name)
    if name == "other":
        path.write_text("no key", encoding="utf-8")
    if name == "rsa.pub":
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = generate_private_key(65537, 2048).public_key()
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    done = graphspec("inspect", file, "--key", path)
    assert done.exit_code == 2
    assert "is no public key of an elliptic curve, and no certificate" in done.stderr
    assert graphspec("inspect", file, "--key", path.with_name("nothing")).exit_code == 2


@pytest.mark.slow
def test_the_signing_program_agrees(file: Path, makers: dict[str, Maker]) -> None:
    makers["maker"].sign(file)
    for key, status in (("maker", 0), ("stranger", 1)):
        words = ["verify", "key", file, "--signature", f"{file}.sig", "--public_key", makers[key].key]
        done = subprocess.run([sys.executable, "-m", "model_signing", *words], capture_output=True, check=False)
        assert (done.returncode != 0) == (status != 0)
        assert graphspec("inspect", file, "--key", makers[key].key).exit_code == status
