"""Training warns of a vocabulary that spells the text in bytes, or loses it, at fine-tuning too."""

from collections.abc import Callable
from pathlib import Path

Call = Callable[..., tuple[int, str, str]]


def test_another_script_than_the_vocabulary_has_is_warned_of(
    settings_file: Path, call_program: Call, tmp_path: Path
) -> None:
    corpus = settings_file.parent
    code, _, errors = call_program("train", settings_file, "training.max_steps=2")
    assert code == 0 and "does not fit" not in errors
    new = tmp_path / "new"
    new.mkdir()
    for part in ("train", "valid"):
        lines = (corpus / f"{part}.en").read_text()
        (new / f"{part}.en").write_text(lines)
        letters = {ord(letter): chr(0x3B1 + index) for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
        (new / f"{part}.de").write_text(lines.lower().translate(letters))
    words = [
        f"data.train={new}/train.{{en,de}}", f"data.valid={new}/valid.{{en,de}}", f"start_from={corpus}/run",
        f"run={new}/run", "data.max_length=60", "training.batch_tokens=400", "training.max_steps=2",
    ]  # fmt: skip
    code, _, errors = call_program("train", *words)
    assert code == 0, errors
    assert "% of the pieces of the target are single bytes or unknown" in errors
    assert "pieces of the source" not in errors
