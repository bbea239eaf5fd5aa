"""Screen an archive on Ray Data: on this machine, or on a cluster by its address.

Only names travel: each actor reads its files itself and writes its shard's rows, and what comes
back is how many there were. Ray's own checkpoints are not used: they hung on two processors and
lost rows where one task failed.
"""

import logging
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.models import registry
from pipeline.screening.screener import Screener
from pipeline.screening.shards import Run
from pipeline.screening.sources import list_images
from pipeline.screening.summary import write_summary

OBJECT_STORE = 100_000_000  # bytes; names and counts are all that is in it
BLOCKS = 2_000  # at most so many pieces of work wait in Ray's own lists


def screen(
    source: str,
    out: Path,
    model: str = "light",
    threshold: float | None = None,
    masks: bool = False,
    resume: bool = False,
    address: str | None = None,
    shard: int = 128,
) -> Counter[str]:
    """Answer every file of an archive; how many of each status, of this run and earlier ones.

    ``source``: see `pipeline.screening.sources.list_images`; ``out``: see
    `pipeline.screening.shards`; ``address``: of a Ray cluster whose machines all see ``source`` and
    ``out``; ``shard``: files of a part, which is what a kill may cost. Raises FileNotFoundError or
    ValueError for a source that cannot be listed, and for a folder with another run; RuntimeError
    where Ray is not installed.
    """
    entry = registry.entry(model)
    settings = {
        "source": source if "://" in source else str(Path(source).resolve()),
        "model": model,
        "weights_sha256": entry.sha256,
        "gate_sha256": registry.gate_sha256(),
        "threshold": entry.threshold if threshold is None else threshold,
        "masks": masks,
    }
    files = list(list_images(source))
    run = Run(out, settings, resume)
    shards = list(run.left(files, shard))
    left = sum(map(len, shards))
    with tqdm(total=len(files), initial=len(files) - left, unit="image", smoothing=0.05) as bar:
        for said in _on_ray(shards, (run, model, threshold, masks), address):
            bar.update(sum(said.values()))
    table = run.table()
    write_summary(run, table)
    return Counter(table["status"].to_pylist())


def _on_ray(
    shards: list[list[str]], reader: tuple[Any, ...], address: str | None
) -> Iterator[dict[str, int]]:
    """How many of each status every shard has, as they are done, in no order."""
    if not shards:
        return
    ray = _ray()
    cores = os.cpu_count() or 1
    started: dict[str, Any] = (
        {"address": address}
        if address
        else {
            # Fewer than four, and Ray Data waits for itself.
            "num_cpus": max(4, cores),
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
            "_system_config": {"automatic_object_spilling_enabled": False},
        }
    )
    ray.init(**started, log_to_driver=False, logging_level=logging.ERROR)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        workers = max(1, int(ray.cluster_resources().get("CPU", 1))) if address else cores
        items = ray.data.from_items(
            [{"shard": shard} for shard in shards],
            override_num_blocks=min(len(shards), BLOCKS),
        )
        said = items.map(
            _Reader,
            fn_constructor_args=(*reader, 1),
            concurrency=(1, max(1, min(workers, len(shards)))),
            num_cpus=1,
        )
        yield from said.iter_rows()
    finally:
        ray.shutdown()


class _Reader:
    """What Ray runs: `Screener`, made where it works."""

    def __init__(self, *settings: Any):
        self.screener = Screener(*settings)

    def __call__(self, row: dict[str, Any]) -> dict[str, int]:
        return self.screener.screen(list(row["shard"]))


def _ray() -> Any:
    # A stranger on this machine or its network must not be able to hand Ray work.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise RuntimeError("screening needs Ray: pip install '.[screen]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray
