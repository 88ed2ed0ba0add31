"""Partitions handed out to processes of which some die: here in threads, with the error that Dask reports then."""

from collections import Counter
from functools import partial
from types import SimpleNamespace

import pytest
from distributed import Client, KilledWorker

from archive.listing import partitions
from archive.table import rows_in_order
from archive.workers import PIECES, Work, run, run_here

SIZE = 40


@pytest.fixture(scope="module")
def client():
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        yield client


TRIED = Counter()  # how often each path was; functions go to workers by name, so that they share it


def make_rows(paths, poison, once):
    TRIED.update(paths)
    if any(path in poison or path in once and TRIED[path] == 1 for path in paths):
        raise KilledWorker("rows", SimpleNamespace(address="a worker"), 0)
    return [{"path": path} for path in paths]


def make_partition(number, paths, poison, once):
    return make_rows(paths, poison, once)


def refuses(number, paths):
    raise ValueError("another version")


def work_that_dies(poison: set[str], once: set[str] = frozenset()) -> Work:
    """Work whose process dies of each of ``poison``, and once of each of ``once``."""
    TRIED.clear()
    return Work(
        whole=partial(make_partition, poison=poison, once=once),
        remaining=lambda number, paths: paths,
        rows=partial(make_rows, poison=poison, once=once),
        lost=lambda path: {"path": path, "lost": True},
        join=lambda number, paths, rows: rows,
    )


def files(count: int) -> list[str]:
    return [f"{number:04}" for number in range(count)]


def results(client, count: int, work: Work) -> list[dict]:
    found = dict(run(client, partitions(files(count), SIZE), work))
    assert sorted(found) == list(range(-(-count // SIZE)))
    return [row for number in sorted(found) for row in found[number]]


@pytest.mark.parametrize("poison", [set(), {"0007"}, {"0000", "0001", "0399"}, {f"{n:04}" for n in range(0, 400, 9)}])
def test_every_path_has_one_row_and_only_those_that_kill_are_lost(client, poison):
    work = work_that_dies(poison)
    rows = results(client, 400, work)
    assert [row["path"] for row in rows] == files(400)
    assert {row["path"] for row in rows if row.get("lost")} == poison
    assert set(TRIED) == set(files(400))


def test_a_process_that_was_killed_once_blames_no_file(client):
    work = work_that_dies(set(), once={"0100", "0250", "0251"})
    rows = results(client, 400, work)
    assert [row["path"] for row in rows] == files(400) and not any(row.get("lost") for row in rows)
    assert max(TRIED.values()) <= 4


def test_a_file_is_blamed_only_after_it_ran_alone(client):
    work = work_that_dies({"0005"})
    results(client, SIZE, work)
    assert SIZE > PIECES and TRIED["0005"] == 4  # in its partition, in a piece, by itself, and with nothing beside it


def test_what_a_worker_raises_ends_the_run(client):
    work = work_that_dies(set())
    with pytest.raises(ValueError, match="another version"):
        list(run(client, partitions(files(3), SIZE), Work(**{**vars(work), "whole": refuses})))


def test_nothing_to_do_is_done(client):
    work = work_that_dies(set())
    assert list(run(client, [], work)) == list(run_here([], work)) == []


def test_a_partition_that_was_done_before_its_process_died_is_not_repeated(client):
    work = work_that_dies({"0001"})
    found = list(run(client, partitions(files(3), SIZE), Work(**{**vars(work), "remaining": lambda *_: []})))
    assert found == [(0, [])] and TRIED["0001"] == 1


def test_rows_come_back_in_the_order_of_their_files(client, monkeypatch, tmp_path):
    import archive.table as table

    work = work_that_dies({"0150", "0151"})
    monkeypatch.setattr(table, "Work", lambda **_: work)
    rows = rows_in_order(client, files(950), None, {})
    assert [row["path"] for row in rows] == files(950)
