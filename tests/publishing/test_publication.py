# SPDX-License-Identifier: Apache-2.0
"""What is checked before the hub is asked: the directory, the manifest, the name, the licences."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from chatvector.errors import DamagedFile, InputError, MissingInput, UsageError, VerificationFailed
from chatvector.provenance.publication import prepare_publication

NAME = "org/Llama-3.1-ko"


def rewrite(output: Path, **changes: Any) -> None:
    path = output / "chat_vector.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def licences_of(folder: Path, **changes: Any) -> dict[str, Any]:
    return {**json.loads((folder / "chat_vector.json").read_text())["licences"], **changes}


def test_no_directory_and_no_manifest(tmp_path: Path, output: Path) -> None:
    with pytest.raises(MissingInput, match="there is no such directory"):
        prepare_publication(tmp_path / "none", NAME)
    (output / "chat_vector.json").unlink()
    with pytest.raises(MissingInput, match=r"has no chat_vector.json; push publishes what chatvector made"):
        prepare_publication(output, NAME)


def test_a_broken_manifest_and_one_of_another_version(output: Path) -> None:
    rewrite(output, format=9)
    with pytest.raises(InputError, match="manifest format 9, this version reads 1"):
        prepare_publication(output, NAME)
    (output / "chat_vector.json").write_text("{")
    with pytest.raises(DamagedFile, match="no valid JSON"):
        prepare_publication(output, NAME)


def test_a_vector_is_no_model(output: Path) -> None:
    rewrite(output, kind="vector")
    with pytest.raises(UsageError, match="is a chat vector; push publishes merged models"):
        prepare_publication(output, NAME)


def test_files_that_are_not_what_the_manifest_says(output: Path) -> None:
    (output / "tokenizer.json").unlink()
    (output / "config.json").write_text("{}")
    shard = output / "model-00002-of-00002.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(
        VerificationFailed,
        match=r"3 of \d+ files are not what chat_vector.json says: config.json has 2 bytes, not \d+,"
        r" model-00002-of-00002.safetensors has other content, tokenizer.json is missing; make the output again",
    ) as caught:
        prepare_publication(output, NAME)
    assert caught.value.exit_code == 4


def test_links_out_of_the_directory_are_refused(output: Path, tmp_path: Path) -> None:
    """Nobody sees in a list of names that `notes.md` is a file of another place."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    (output / "notes.md").symlink_to(elsewhere / "secret")
    (output / "tokenizer.json").rename(elsewhere / "tokenizer.json")
    (output / "tokenizer.json").symlink_to(elsewhere / "tokenizer.json")
    with pytest.raises(
        UsageError,
        match=rf"^{output}: 2 files are links out of the directory \(tokenizer.json → {elsewhere}/tokenizer.json,"
        rf" notes.md → {elsewhere}/secret\); put the files themselves there, or remove the links$",
    ):
        prepare_publication(output, NAME)


def test_links_within_the_directory_are_files_like_others(output: Path) -> None:
    (output / "card.md").write_text("more")
    (output / "notes.md").symlink_to("card.md")
    assert {"card.md", "notes.md"} <= prepare_publication(output, NAME).sizes.keys()


def test_files_that_cannot_be_read(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "LICENSE":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *arguments, **options)

    (output / "LICENSE").write_text("mine")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        MissingInput, match=r"1 files cannot be read \(LICENSE: Permission denied\); make them readable"
    ):
        prepare_publication(output, NAME)


def test_a_name_that_the_licence_forbids(output: Path) -> None:
    with pytest.raises(
        UsageError, match=r"^org/ko-chat: llama3.1 asks for a name that begins with 'Llama' .clause 1.b"
    ):
        prepare_publication(output, "org/ko-chat")
    publication = prepare_publication(output, "org/ko-chat", accept_licence=True)
    accepted = ["llama3.1 asks for a name that begins with 'Llama' (clause 1.b.i)"]
    assert publication.manifest["licences"]["accepted"] == accepted
    assert "Published all the same, by decision of the publisher" in publication.card
    assert f"licence: passed over on request: {accepted[0]}" in publication.warnings


def test_a_licence_that_does_not_allow_to_share(output: Path) -> None:
    reason = "chat is under cc-by-nd-4.0, which does not allow to share modified versions"
    rewrite(output, licences=licences_of(output, forbidden=[reason]))
    with pytest.raises(UsageError, match=f"^{NAME}: {reason}; choose another name or licence, or --accept-licence"):
        prepare_publication(output, NAME)
    assert prepare_publication(output, NAME, accept_licence=True).manifest["licences"]["accepted"] == [reason]


def test_nothing_is_recorded_as_accepted_where_nothing_was_wrong(output: Path) -> None:
    assert "accepted" not in prepare_publication(output, NAME, accept_licence=True).manifest["licences"]


def test_a_licence_that_nothing_tells(output: Path) -> None:
    missing = licences_of(output, output=None, undetermined=["base: neither a licence file nor a card names a licence"])
    rewrite(output, licences=missing)
    open_question = prepare_publication(output, NAME)
    assert "licence not determined: base: neither a licence file nor a card names a licence" in open_question.warnings
    assert "the card names no licence; --licence ID sets one that you have made sure of" in open_question.warnings
    # The recorded card does not fit the changed manifest any more only in its licence.
    chosen = prepare_publication(output, NAME, licence="Llama 3.1")
    assert chosen.manifest["licences"]["output"] == "llama3.1"
    assert "license: llama3.1\n" in chosen.card


def test_a_licence_cannot_be_made_freer(output: Path) -> None:
    with pytest.raises(UsageError, match=r"--licence mit: the parents' licences make it llama3.1; leave the flag out"):
        prepare_publication(output, NAME, licence="mit")
    assert prepare_publication(output, NAME, licence="llama3.1").warnings == ()


def test_terms_that_are_known_are_not_passed_over_where_another_parent_says_nothing(output: Path) -> None:
    missing = licences_of(
        output, output=None, undetermined=["target: neither a licence file nor a card names a licence"]
    )
    rewrite(output, licences=missing)
    fault = "--licence mit: target, base, chat is under llama3.1, whose terms hold for what is made from it"
    with pytest.raises(UsageError, match=f"^{NAME}: {fault}; choose another name or licence, or --accept-licence"):
        prepare_publication(output, NAME, licence="mit")
    published = prepare_publication(output, NAME, licence="mit", accept_licence=True)
    assert published.manifest["licences"]["accepted"] == [fault]
    assert prepare_publication(output, NAME, licence="llama3.1-and-mit").manifest["licences"]["output"]


def test_a_licence_that_is_no_id(output: Path) -> None:
    with pytest.raises(UsageError, match=r"--licence 'anything at all: .x': must be an id of letters, digits"):
        prepare_publication(output, NAME, licence="anything at all: [x")


def test_documents_laid_beside_go_along_and_the_rest_stays(output: Path) -> None:
    (output / ".eval_results").mkdir()
    for name in ("figure.png", ".eval_results/x.yaml", "TERMS_OF_USE", "optimizer.pt", ".DS_Store", "model.gguf"):
        (output / name).write_bytes(b"x")
    publication = prepare_publication(output, NAME)
    assert {"figure.png", ".eval_results/x.yaml", "TERMS_OF_USE"} <= publication.contents.keys()
    assert publication.left_out == (".DS_Store", "model.gguf", "optimizer.pt")


def test_preparing_changes_nothing(output: Path) -> None:
    before = {p: p.read_bytes() for p in output.rglob("*") if p.is_file()}
    publication = prepare_publication(output, NAME)
    assert {p: p.read_bytes() for p in output.rglob("*") if p.is_file()} == before
    assert publication.nbytes == sum(publication.sizes.values()) > 0


def test_a_missing_agreement_is_asked_for_until_it_is_there(output: Path) -> None:
    manifest = json.loads((output / "chat_vector.json").read_text())
    parents = [{**parent, "found_in": ["README.md"]} for parent in manifest["licences"]["parents"]]
    files = {name: entry for name, entry in manifest["files"].items() if name != "LICENSE"}
    rewrite(output, licences=licences_of(output, parents=parents), files=files)
    text = (output / "LICENSE").read_bytes()
    (output / "LICENSE").unlink()
    asked = (
        "licence: llama3.1 asks for a copy of its text, and no parent brought one; put it into the directory as LICENSE"
    )
    assert asked in prepare_publication(output, NAME).warnings
    (output / "LICENSE").write_bytes(text)
    publication = prepare_publication(output, NAME)
    assert asked not in publication.warnings
    assert "LICENSE" in publication.contents


def test_a_directory_that_a_parents_configuration_names_is_told(output: Path) -> None:
    assert not any("names a directory" in line for line in prepare_publication(output, NAME).warnings)
    path = output / "config.json"
    for place, told in (("/models/ko-7b", True), ("org/ko-7b", False)):
        path.write_text(json.dumps({**json.loads(path.read_text()), "_name_or_path": place}))
        files = json.loads((output / "chat_vector.json").read_text())["files"]
        rewrite(output, files={**files, "config.json": {"bytes": path.stat().st_size}})
        warnings = prepare_publication(output, NAME).warnings
        line = f"config.json names a directory, as the parent's does, and is sent so: _name_or_path {place!r}"
        assert (line in warnings) is told
