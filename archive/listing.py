"""The files of an archive, one after another: below folders, or listed in a manifest. Never all in memory."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ecg.readers.folders import resolved, stream_recordings, with_header
from inference.result_rows import file_name

ROWS_AT_A_TIME = 10_000  # of a manifest
BLOCK_BYTES = 1 << 20
LISTED = 20  # files passed over that are named one by one


class Skipped:
    """Files that are no recordings: the first few with their reasons, the others counted. own: results, left out."""

    def __init__(self, own: Path | None = None):
        self.own = own
        self.first: dict[Path, str] = {}
        self.further: Counter[str] = Counter()

    def add(self, path: Path, reason: str) -> None:
        if self.own and self.own in resolved(path).parents:
            return
        if len(self.first) < LISTED:
            self.first[path] = reason
        else:
            self.further[reason] += 1

    def lines(self) -> Iterator[str]:
        """What to say of them; nothing if there are none."""
        if self.first:
            yield f"passed over, no recordings ({len(self.first) + self.further.total():,}):"
        for path, reason in self.first.items():
            yield f"  {file_name(path)}: {reason}"
        for reason, count in self.further.items():
            yield f"  and {count:,} more: {reason}"


def recordings_below(inputs: Iterable[str], skipped: Skipped) -> Iterator[Path]:
    """Recordings named or found below folders, in order; what is passed over goes to ``skipped``.

    A folder inside another that is given too counts once. Two links to one file are two recordings.
    Raises FileNotFoundError.
    """
    for path, reason in stream_recordings(inputs):
        if reason:
            skipped.add(path, reason)
        else:
            yield path


def recordings_listed(manifest: Path, column: str) -> Iterator[Path]:
    """The recordings of a .csv or .parquet file in its order, one a row.

    column: holds their paths; relative ones start at the manifest's folder. A path without a suffix is a WFDB record.
    Raises ValueError if the manifest cannot be read.
    """
    for batch in _batches(manifest, column):
        for value in batch.column(0).to_pylist():
            path = manifest.parent / (value or "")
            bare = path.with_name(f"{path.name}.hea") if value and not path.suffix else path
            yield with_header(bare if bare == path or bare.is_file() else path)


def count_listed(manifest: Path, column: str) -> int:
    """How many rows a manifest has. Raises ValueError if it cannot be read."""
    return sum(batch.num_rows for batch in _batches(manifest, column))


def _batches(manifest: Path, column: str) -> Iterator:
    import pyarrow as pa  # these three take a while to import, and a few files need none of them
    from pyarrow import csv, parquet

    try:
        if manifest.suffix.lower() == ".parquet":
            with parquet.ParquetFile(manifest) as file:
                _require_column(manifest, file.schema_arrow.names, column)
                for batch in file.iter_batches(ROWS_AT_A_TIME, columns=[column]):
                    yield pa.RecordBatch.from_arrays([batch.column(0).cast(pa.string())], [column])
            return
        blocks = csv.ReadOptions(block_size=BLOCK_BYTES)
        with csv.open_csv(manifest, read_options=blocks) as head:
            _require_column(manifest, head.schema.names, column)
        only = csv.ConvertOptions(
            include_columns=[column], column_types={column: pa.string()}, strings_can_be_null=False
        )
        with csv.open_csv(manifest, read_options=blocks, convert_options=only) as reader:
            yield from reader
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{manifest} cannot be read as a manifest: {error}") from error


def _require_column(manifest: Path, names: list[str], column: str) -> None:
    if column not in names:
        raise ValueError(f"{manifest} has no column {column!r}: name one of {', '.join(names[:20])} with --column")


def partitions(paths: Iterable[Path], size: int) -> Iterator[tuple[int, list[str]]]:
    """Number and paths of one partition after another."""
    paths = iter(paths)
    number = 0
    while part := [str(path) for path in islice(paths, size)]:
        yield number, part
        number += 1
