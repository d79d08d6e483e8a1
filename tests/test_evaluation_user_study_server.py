"""The server as a process: fifty voters, a kill, and requests that no browser sends."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import httpx2
import pytest

from evaluation.user_study.__main__ import main
from evaluation.user_study.study import Study, Trial, participant_trials
from evaluation.user_study.votes import Votes, read_votes
from tests.study_material import ROOT, served, small_study

VOTERS = 50


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small_study(tmp_path_factory.mktemp("study"))


def answers_to(trial: Trial, voter: int) -> dict[str, str]:
    """Answers that tell which voter gave them."""
    if trial.part == "head_pose":
        return {"similarity": str(voter % 5 + 1)}
    keys = ("image_quality", "lip_sync", "natural") if trial.part == "comparison" else ("best",)
    return {key: trial.choices[(voter + k) % len(trial.choices)] for k, key in enumerate(keys)}


class Voter:
    """Somebody who answers page after page, and knows what was acknowledged."""

    def __init__(self, study: Study, number: int):
        self.study, self.number = study, number
        self.token = ""
        self.acknowledged: dict[tuple[str, str], str] = {}

    def vote(self, url: str, enough: threading.Event) -> None:
        """Vote until everything is answered or the server is gone."""
        try:
            with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
                if not self.token:
                    answer = client.post("/start", data={"agree": "yes"})
                    self.token = answer.headers["location"].split("/")[2]
                for number, trial in enumerate(participant_trials(self.study, self.token), 1):
                    data = answers_to(trial, self.number)
                    if client.post(f"/s/{self.token}/{number}", data=data).status_code == 303:
                        self.acknowledged |= {(trial.name, question): value for question, value in data.items()}
                    if number == len(self.study.trials) // 3:
                        enough.set()  # somebody has come this far; most others are about there
        except httpx2.TransportError:
            pass


def stored(study: Study) -> dict[str, dict[tuple[str, str], str]]:
    """What lies in the file: token -> (trial, question) -> answer."""
    found: dict[str, dict[tuple[str, str], str]] = {}
    for vote in read_votes(study.folder / "votes.sqlite3"):
        (answer,) = vote.answer
        found.setdefault(vote.token, {})[vote.trial, vote.question] = answer
    return found


def test_no_acknowledged_vote_is_lost_when_the_server_is_killed(study: Study) -> None:
    voters = [Voter(study, number) for number in range(VOTERS)]
    with ThreadPoolExecutor(VOTERS) as pool:
        with served(study.folder) as server:
            enough = threading.Event()
            done = [pool.submit(voter.vote, server.url, enough) for voter in voters]
            assert enough.wait(120)
            server.process.send_signal(signal.SIGKILL)
            for future in done:
                future.result()
        acknowledged = sum(len(voter.acknowledged) for voter in voters)
        everything = VOTERS * sum(3 if trial.part == "comparison" else 1 for trial in study.trials)
        assert 0 < acknowledged < everything  # in the middle
        found = stored(study)
        for voter in voters:
            kept = found.get(voter.token, {})
            assert voter.acknowledged.items() <= kept.items()
            for trial in study.trials:  # a page is stored as a whole or not at all
                assert sum(name == trial.name for name, _ in kept) in (0, 3 if trial.part == "comparison" else 1)
        with served(study.folder) as server:  # the same people go on
            for future in [pool.submit(voter.vote, server.url, threading.Event()) for voter in voters]:
                future.result()
    found = stored(study)
    assert len({voter.token for voter in voters}) == VOTERS
    for voter in voters:
        expected = {
            (trial.name, question): value
            for trial in participant_trials(study, voter.token)
            for question, value in answers_to(trial, voter.number).items()
        }
        assert found[voter.token] == expected == voter.acknowledged


def test_the_disk_is_asked_for_every_vote(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "votes.sqlite3")
    assert votes._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert votes._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    votes.close()


def raw(url: str, request: str) -> tuple[int, bytes]:
    """Status and content for a request line sent as it is."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(f"{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def test_paths_lead_nowhere_but_to_videos_and_pages(study: Study) -> None:
    Votes(study.folder / "votes.sqlite3").close()
    secret = (study.folder / "manifest.json").read_bytes()[:40]
    ups = ("..", "%2e%2e", "..%2f..", "....", "..%5c", "%252e%252e", "..%00", "./..")
    paths = [f"/{folder}/{up}/{file}" for folder in ("videos", "static") for up in ups for file in ("manifest.json",)]
    paths += [f"/videos/{up}/manifest.json.mp4" for up in ups] + [f"/static/{up}/study.py" for up in ups]
    paths += ["/manifest.json", "/votes.sqlite3", "/videos", "/videos/", "/static", "/static/", "/videos/.mp4"]
    paths += [f"/videos/{'a' * 24}.mp4", "//etc/passwd", "/static//etc/passwd", f"/static{study.folder}/manifest.json"]
    with served(study.folder) as server:
        for path in paths:
            status, content = raw(server.url, f"GET {path}")
            assert status in (307, 400, 404, 405), path
            assert secret not in content
            assert b"def " not in content
            assert b"study.css" not in content or b"There is no such page" in content  # a page, not a listing
        assert raw(server.url, "GET /")[0] == 200


def test_a_huge_body_is_refused_without_being_read(study: Study) -> None:
    with served(study.folder) as server:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            head = "POST /start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            connection.sendall(f"{head}Content-Length: 10000000000\r\n\r\n".encode() + b"x" * 70_000)
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status == 413


def test_it_listens_on_loopback_unless_told_otherwise(study: Study) -> None:
    with served(study.folder) as server:
        assert server.url.startswith("http://127.0.0.1:")
        table = Path("/proc/net/tcp")
        if not table.exists():
            pytest.skip("no /proc/net/tcp here")
        sockets = {line.split()[1] for line in table.read_text().splitlines()[1:]}
        port = f"{urlsplit(server.url).port:04X}"
        assert {entry.partition(":")[0] for entry in sockets if entry.endswith(f":{port}")} == {"0100007F"}


def test_it_ends_when_told_to(study: Study) -> None:
    with served(study.folder) as server:
        urlopen(
            server.url
        ).close()  # it answers, so it also listens to signals, which a background job may ignore till then
        start = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) in (0, 130)
        assert time.monotonic() - start < 20


def test_a_taken_port_is_one_clear_line(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(study.folder), "--port", str(port)]) == 1
    error = capsys.readouterr().err
    assert error == f"--host 127.0.0.1 --port {port}: cannot be listened on (Address already in use); choose others.\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "is no study"), ("{}", "is damaged"), ('{"version": 99}', "has version 99, not 1")],
)
def test_what_is_no_study_is_one_clear_line(tmp_path: Path, content, message: str, capsys) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    assert main(["serve", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_changed_video_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small_study(tmp_path, methods={}, lengths={50: tmp_path / "50", 300: tmp_path / "300"})
    video = study.video_file(study.trials[0].choices[0])
    video.write_bytes(video.read_bytes() + b"x")
    assert main(["serve", str(study.folder)]) == 1
    assert f"{video}: is not the video that was built" in capsys.readouterr().err


def test_without_the_web_packages_it_says_how_to_get_them(study: Study) -> None:
    program = (
        "import sys; sys.modules['starlette'] = sys.modules['uvicorn'] = None\n"
        "from evaluation.user_study.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "serve", str(study.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("is missing; pip install --constraint constraints.txt --editable '.[study]'\n")
