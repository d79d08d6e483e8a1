"""Serving a study: one process, one SQLite file."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from evaluation.user_study.pages import Pages
from evaluation.user_study.study import VOTES, Study
from evaluation.user_study.votes import Votes
from media.digest import sha256
from media.errors import InputError

_MOST_CONNECTIONS = 1000  # ours: browsers open six for one participant; more than this is an attack or an accident


def serve(folder: Path, host: str = "127.0.0.1", port: int = 8000, public_names: Sequence[str] = ()) -> None:
    """Serve a study until the process is told to end.

    Args:
        folder: A study made by `build`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        public_names: Host names under which participants reach it, beside `localhost` and IP addresses.

    Raises:
        InputError: If the folder is no complete study, or the address cannot be used.
    """
    study = Study.read(folder)
    for name, video in study.videos.items():
        if sha256(study.video_file(name)) != video.sha256:
            raise InputError(f"{study.video_file(name)}: is not the video that was built; build the study again.")
    listening = _listen(host, port)
    votes = Votes(folder / VOTES)
    try:
        address = f"[{host}]" if ":" in host else host
        print(
            f"http://{address}:{listening.getsockname()[1]}/ serves {len(study.trials)} pages; Ctrl-C ends it.",
            flush=True,
        )
        print(f"Answers are in {folder / VOTES}.", flush=True)
        # no access log: it would hold addresses of people next to their tokens
        config = uvicorn.Config(
            Pages(study, votes).application(public_names),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=5,  # seconds; ours: a phone that sleeps must not keep it from ending
        )
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        votes.close()
        listening.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None) or 0
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise InputError(f"--host {host} --port {port}: cannot be listened on ({reason}); choose others.") from None
