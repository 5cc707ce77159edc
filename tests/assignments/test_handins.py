"""What a teacher downloads is read as it comes: folders, Canvas, Moodle, and what students do."""

import zipfile
from datetime import datetime

import pytest

from grading import GradingError
from grading.handins import collect, moment, read_times
from grading.late import penalty
from tests.assignments.fabricate import zipped

NB = b'{"cells": [1]}'


def archive(folder, files):
    """Write a zip and return its path."""
    path = folder / "submissions.zip"
    path.write_bytes(zipped(files))
    return path


def tree(folder, files):
    """Write files and return their folder."""
    for name, content in files.items():
        path = folder / "given" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "given"


def found(path):
    """Return the contents by student."""
    return {hand_in.student: hand_in.content for hand_in in collect(path, "hw4")}


@pytest.mark.parametrize("make", [archive, tree])
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"ada/hw4.ipynb": NB, "ben/hw4.ipynb": NB}, {"ada": NB, "ben": NB}),
        ({"ada.ipynb": NB, "ben.ipynb": NB, "list.csv": b""}, {"ada": NB, "ben": NB}),
        ({"submitted/ada/hw4/hw4.ipynb": NB}, {"ada": NB}),
        ({"ada/work/deep/hw4.ipynb": NB}, {"ada": NB}),
        (
            {
                "lovelaceada_1234_56789_hw4.ipynb": NB,
                "turingalan_LATE_77_88_hw4-2.ipynb": b"new",
                "turingalan_77_80_hw4.ipynb": b"old",
            },
            {"1234": NB, "77": b"new"},
        ),
        (
            {
                "Ada Lovelace_1234567_assignsubmission_file/hw4.ipynb": NB,
                "Alan Turing_89_assignsubmission_file_/My hw4.ipynb": NB,
                "Emmy Noether_5_assignsubmission_file_hw4.ipynb": NB,
            },
            {"1234567": NB, "89": NB, "5": NB},
        ),
        ({"export/Ada_7_assignsubmission_file/hw4.ipynb": NB}, {"7": NB}),
        ({"a b/hw4.ipynb": NB, "a-b/hw4.ipynb": b"2"}, {"a-b": NB, "a-b-2": b"2"}),
        ({"=cmd()/hw4.ipynb": NB}, {"cmd": NB}),
        ({"ada/hw4.ipynb": NB, "__MACOSX/ada/._hw4.ipynb": b"", "ada/.DS_Store": b""}, {"ada": NB}),
        ({"ada/.ipynb_checkpoints/hw4-checkpoint.ipynb": b"", "ada/hw4.ipynb": NB}, {"ada": NB}),
        ({"ada/a.zip": zipped({"hw4/hw4.ipynb": NB, "x.png": b""})}, {"ada": NB}),
        ({"ada/HW4.IPYNB": NB}, {"ada": NB}),
        ({"ada/draft.ipynb": b"draft", "ada/hw4.ipynb": NB}, {"ada": NB}),
        ({"Ødegård Åse/hw4.ipynb": NB}, {"Ødegård-Åse": NB}),
    ],
)
def test_forms_of_download(tmp_path, make, files, expected):
    assert found(make(tmp_path, files)) == expected


def test_a_name_in_a_zip_leads_nowhere_else(tmp_path):
    files = {"../../etc/hw4.ipynb": NB, "/srv/hw4.ipynb": NB, "..\\up\\hw4.ipynb": NB}
    assert found(archive(tmp_path, files)) == {"etc": NB, "srv": NB, "up": NB}


def test_two_students_of_one_name_are_both_graded_and_flagged(tmp_path):
    first, second = collect(tree(tmp_path, {"a b/hw4.ipynb": NB, "a-b/hw4.ipynb": NB}), "hw4")
    assert first.flags == []
    assert second.flags == ["two students are called a-b"]


def test_a_hand_in_that_cannot_be_read_is_refused_alone(tmp_path):
    path = archive(tmp_path, {"ada/hw4.ipynb": NB * 50, "ben/hw4.ipynb": b"B" * 500})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"ben/hw4.ipynb") + 15] ^= 0xFF  # the compressed bytes of ben
    path.write_bytes(raw)
    ada, ben = collect(path, "hw4")
    assert (ada.content, ada.refused) == (NB * 50, "")
    assert "cannot be read" in ben.refused


def test_a_bomb_in_a_zip_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("ada/hw4.ipynb", bytes(200_000_000))
    (ada,) = collect(path, "hw4")
    assert len(ada.content) == 30_000_001  # just too large: refused when it is read


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(b"secret")
    given = tree(tmp_path, {"ada/notes.txt": b""})
    (given / "ada" / "hw4.ipynb").symlink_to(secret)
    (ada,) = collect(given, "hw4")
    assert "no notebook" in ada.refused


def test_what_is_no_download_is_named(tmp_path):
    with pytest.raises(GradingError, match="does not exist"):
        collect(tmp_path / "none", "hw4")
    (tmp_path / "x.zip").write_bytes(b"none")
    with pytest.raises(GradingError, match="is no zip"):
        collect(tmp_path / "x.zip", "hw4")
    with pytest.raises(GradingError, match="no hand-in was found"):
        collect(archive(tmp_path, {"list.csv": b""}), "hw4")


# --- times ----------------------------------------------------------------------------------------


def test_timestamp_of_nbgrader(tmp_path):
    files = {"ada/hw4.ipynb": NB, "ada/timestamp.txt": b"2026-03-01 23:59:00 +0100\n"}
    (ada,) = collect(tree(tmp_path, files), "hw4")
    assert ada.time == "2026-03-01T22:59:00"
    files["ada/timestamp.txt"] = b"last Tuesday or so"
    (ada,) = collect(tree(tmp_path, files), "hw4")
    assert ada.time == ""
    assert "on time" in ada.flags[0]


def test_times_of_the_lms(tmp_path):
    path = tmp_path / "times.csv"
    path.write_text("student,time\n1234,2026-03-01T23:59+01:00\nA b,2026-03-01 10:00Z\n", "utf-8")
    assert read_times(path) == {"1234": "2026-03-01T22:59:00", "A-b": "2026-03-01T10:00:00"}
    path.write_text("1234,soon\n", encoding="utf-8")
    with pytest.raises(GradingError, match="line 1"):
        read_times(path)


def test_moments_name_their_zone():
    assert moment("2026-03-01T23:59+01:00") == datetime(2026, 3, 1, 22, 59)
    with pytest.raises(GradingError, match="zone"):
        moment("2026-03-01T23:59")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, 0), (60, 1), (86_400, 1), (86_401, 2), (9 * 86_400, 9), (11 * 86_400, 10), (10**9, 10)],
)
def test_late_penalty_by_day(seconds, expected):
    assert penalty(10.0, seconds, 0.1) == pytest.approx(expected)


def test_grace():
    assert penalty(10.0, 15 * 60, 0.1, grace=15) == 0
    assert penalty(10.0, 15 * 60 + 1, 0.1, grace=15) == 1
