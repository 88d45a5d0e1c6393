"""The store of embeddings."""

import hashlib
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from genrestream.training import vector_store
from genrestream.training.errors import TrainingError
from genrestream.training.vector_store import StoredRows, VectorStore


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def kept(store: VectorStore, contents: list[bytes | None]) -> list[list[float]]:
    return StoredRows(store.mapped(), store.places(contents))[np.arange(len(contents))].tolist()


def fill(folder: Path, numbers: range) -> None:
    with VectorStore(folder, 3) as store:
        store.append(map(digest, numbers), np.array([[n, n, n] for n in numbers], np.float32))


def test_what_is_kept_is_there_again(tmp_path):
    """Vectors come back by content hash, in the order asked for; zeros where there is none."""
    fill(tmp_path, range(5))
    with VectorStore(tmp_path, 3) as store:
        found = kept(store, [digest(3), None, digest(0), digest(77)])
        assert (digest(3) in store, digest(77) in store, len(store)) == (True, False, 5)
    assert found == [[3, 3, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_store_is_read_in_blocks(tmp_path, monkeypatch):
    """All of it in its order, a few rows at a time."""
    monkeypatch.setattr(vector_store, "ROWS_AT_ONCE", 2)
    fill(tmp_path, range(5))
    with VectorStore(tmp_path, 3) as store:
        found = [(contents, vectors[:, 0].tolist()) for contents, vectors in store.blocks()]
    assert found == [([digest(n) for n in some], some) for some in ([0, 1], [2, 3], [4])]


def test_equal_content_is_kept_once(tmp_path):
    """Within one call and over several."""
    with VectorStore(tmp_path, 3) as store:
        store.append([digest(1), digest(1)], np.ones((2, 3), np.float32))
        store.append([digest(1), digest(2)], np.full((2, 3), 2, np.float32))
        assert len(store) == 2
        assert kept(store, [digest(2)]) == [[2, 2, 2]]
    assert (tmp_path / "vectors.bin").stat().st_size == 2 * 3 * 4


@pytest.mark.parametrize(("cut_bytes", "left"), [(7, 3), (12, 3), (13, 2)])
def test_a_kill_in_the_middle_costs_the_last_rows_only(tmp_path, cut_bytes, left):
    """Where vectors lack their end, the rows before are right and the others can be added again."""
    fill(tmp_path, range(4))
    path = tmp_path / "vectors.bin"
    path.write_bytes(path.read_bytes()[:-cut_bytes])
    with VectorStore(tmp_path, 3) as store:
        assert len(store) == left
        assert kept(store, [digest(left - 1)]) == [[left - 1] * 3]
        assert digest(3) not in store
        store.append([digest(3)], np.full((1, 3), 3, np.float32))
        assert kept(store, [digest(3), digest(0)]) == [[3, 3, 3], [0, 0, 0]]


def test_vectors_without_an_entry_are_cut_off(tmp_path):
    """What was written before a kill and never entered is no row, and the next one takes its place."""
    fill(tmp_path, range(2))
    with (tmp_path / "vectors.bin").open("ab") as file:
        file.write(np.full(5, 9, np.float32).tobytes())
    fill(tmp_path, range(3))
    with VectorStore(tmp_path, 3) as store:
        assert kept(store, [digest(n) for n in range(3)]) == [[n] * 3 for n in range(3)]
    assert (tmp_path / "vectors.bin").stat().st_size == 3 * 3 * 4


def test_a_damaged_index_is_told(tmp_path):
    """One line with the folder's name, and nothing is read by it."""
    fill(tmp_path, range(2))
    (tmp_path / "rows.sqlite").write_bytes(b"no index" * 600)
    with pytest.raises(TrainingError, match=r"cannot open the embeddings in .*: file is not a database"):
        VectorStore(tmp_path, 3)


def test_two_processes_do_not_mix_their_rows(tmp_path):
    """Each waits for the other's lock; both sets of rows are there and right."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(tmp_path, range(at, at + 50))) for at in (0, 50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    with VectorStore(tmp_path, 3) as store:
        assert len(store) == 100
        assert kept(store, [digest(n) for n in range(100)]) == [[n] * 3 for n in range(100)]


def test_waiting_for_another_process_is_said(tmp_path, caplog):
    """Once, when the lock is another's; and the wait ends with that one."""
    with ThreadPoolExecutor(1) as pool:
        with VectorStore(tmp_path, 3):
            later = pool.submit(fill, tmp_path, range(2))
            while not caplog.records:
                assert not later.done()
                sleep(0.01)
        later.result()
    assert caplog.messages == [f"waiting for another process that writes {tmp_path}"]
    with VectorStore(tmp_path, 3) as store:
        assert len(store) == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    """One line with the folder's name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"cannot open the embeddings in .*file"):
        VectorStore(tmp_path / "file", 3)
