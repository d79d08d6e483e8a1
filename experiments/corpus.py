"""The corpus of a run: prepared into its folder, as far as it is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datamodules.layouts import LAYOUTS
from datamodules.manifest import read_manifest
from datamodules.preparation import Preparation
from datamodules.prepare_corpus import prepare_corpus, require_prepared_alike
from datamodules.ray_workers import RayWorkers
from datamodules.shard import Shard
from datamodules.synthetic.lrw_corpus import CorpusSize, make_lrw_corpus
from datamodules.workers import LocalWorkers, Workers
from experiments.limits import read_shard
from experiments.person import preparation_keywords
from experiments.settings import EMBEDDED
from face.assets import cache_folder
from face.models.registry import model_version
from media.digest import sha256_of_values
from media.errors import InputError

WORKERS: dict[str, Callable[[int], Workers]] = {"local": LocalWorkers, "ray": RayWorkers}
EMBEDDED_CORPUS = CorpusSize(words=10, clips=20, people=20)  # ours: data.root=embedded shows the path, learns little
PREPARED = "prepared"  # the layout of a root that is a prepared corpus itself
ROOT_LAYOUTS = (*LAYOUTS, PREPARED)


def prepared_folder(settings: dict[str, Any]) -> Path:
    """Where the prepared corpus lies: `data.prepared`, or beside its root.

    Beside the embedded corpus, in the cache where nobody chooses folders, each way of preparing has one of its own.
    """
    data = settings["data"]
    if data["layout"] == PREPARED:
        return Path(data["root"]).expanduser()
    if data["prepared"]:
        return Path(data["prepared"]).expanduser()
    root = corpus_root(settings).resolve()
    name = f"{root.name}-prepared"
    if data["root"] == EMBEDDED:
        described = Preparation(**preparation_keywords(settings)).describe()
        name += "-" + sha256_of_values(described)[:8]
    return root.with_name(name)


def corpus_root(settings: dict[str, Any]) -> Path:
    """Where the clips of a corpus lie: `data.root`, or in the user's cache folder if that is `embedded`."""
    root, size = settings["data"]["root"], EMBEDDED_CORPUS
    if root == EMBEDDED:
        name = f"lrw-{size.words}-{size.clips}-{size.people}-{size.seed}-{model_version()[:8]}"
        return cache_folder() / "embedded" / name
    return Path(root).expanduser()


def prepare(settings: dict[str, Any]) -> Path:
    """Prepare the corpus of a run, or the shard of it that `shard` names; what is prepared already is kept.

    Args:
        settings: Of the run.

    Returns:
        The folder of the prepared corpus.

    Raises:
        InputError: If the corpus, its folder or a setting cannot be used, or too many clips failed.
    """
    data, launch = settings["data"], settings["launch"]
    preparation = Preparation(**preparation_keywords(settings))
    if data["layout"] == PREPARED:
        read_manifest(prepared_folder(settings))
        require_prepared_alike(prepared_folder(settings), preparation)
        return prepared_folder(settings)
    if data["root"] == EMBEDDED:
        make_lrw_corpus(corpus_root(settings), EMBEDDED_CORPUS, launch["processes"] or None, progress=True)
    return prepare_corpus(
        corpus_root(settings),
        prepared_folder(settings),
        layout=data["layout"],
        shard=read_shard(settings["shard"]),
        preparation=preparation,
        largest_failed_share=data["largest_failed_share"],
        workers=WORKERS[launch["workers"]](launch["processes"]),
        progress=True,
    )


def prepare_only(settings: dict[str, Any]) -> None:
    """Prepare a corpus, or a shard of it, and say what there is."""
    if settings["data"]["kind"] != "corpus":
        raise InputError("data.prepare_only is of corpora alone; choose data=corpus")
    prepared = prepare(settings)
    shard = Shard(*read_shard(settings["shard"]), prepared)
    clips, frames, failed = shard.counts()
    print(f"shard {settings['shard']}: {clips} clips with {frames} frames are prepared in {prepared}")
    if failed:
        print(f"{failed} clips failed, for the reasons in {shard.failures}")
    done = shard.done_of_all()
    if done < shard.count:
        print(f"{done} of {shard.count} shards are done; the manifest comes with the last one")
    else:
        print(f"manifest: {prepared / 'manifest.jsonl'}")
