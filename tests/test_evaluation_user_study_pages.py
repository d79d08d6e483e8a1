"""The pages, in this process: blinded, resumable, and nothing is stored that the page did not offer."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from evaluation.user_study.ballot import MOST_BYTES
from evaluation.user_study.pages import Pages
from evaluation.user_study.questions import SIMILARITY
from evaluation.user_study.study import Study, Trial, participant_trials
from evaluation.user_study.votes import Votes, read_votes
from tests.study_material import LENGTHS, METHODS, PEOPLE, small_study

ADDRESS = r"/|/start|#questions|data:,|/static/[a-z_.]+|/s/[\w-]{22}(/\d+)?|/videos/[0-9a-f]{24}\.mp4#t=0\.001"
FORM = {"content-type": "application/x-www-form-urlencoded"}
INNER_WORDS = ("held_out", "foreign/", "comparison", "head_pose", "video_length", "manifest", "sqlite")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small_study(tmp_path_factory.mktemp("study"), introduction="First <b>words</b>\n\nSecond & last")


@pytest.fixture
def votes(tmp_path: Path) -> Iterator[Votes]:
    store = Votes(tmp_path / "votes.sqlite3")
    yield store
    store.close()


@pytest.fixture
def client(study: Study, votes: Votes) -> TestClient:
    return TestClient(
        Pages(study, votes).application(["study.example.org"]), "http://localhost", follow_redirects=False
    )


def start(client: TestClient) -> str:
    answer = client.post("/start", data={"agree": "yes"})
    assert answer.status_code == 303
    return answer.headers["location"].split("/")[2]


def answers_to(trial: Trial) -> dict[str, str]:
    if trial.part == "comparison":
        return {key: trial.choices[k] for k, key in enumerate(("image_quality", "lip_sync", "natural"))}
    return {"similarity": "4"} if trial.part == "head_pose" else {"best": trial.choices[0]}


def vote_all(client: TestClient, study: Study, token: str, first: int = 1) -> None:
    trials = participant_trials(study, token)
    for number, trial in enumerate(trials[first - 1 :], first):
        answer = client.post(f"/s/{token}/{number}", data=answers_to(trial))
        following = str(number + 1) if number < len(trials) else "done"
        assert (answer.status_code, answer.headers["location"]) == (303, f"/s/{token}/{following}")


def test_every_answer_is_stored_under_what_was_shown(client: TestClient, study: Study, votes: Votes, tmp_path) -> None:
    token = start(client)
    vote_all(client, study, token)
    stored = {(vote.trial, vote.question): vote.answer for vote in read_votes(tmp_path / "votes.sqlite3")}
    expected = {
        (trial.name, question): (answer,)
        for trial in participant_trials(study, token)
        for question, answer in answers_to(trial).items()
    }
    assert stored == expected
    assert "Thank you" in client.get(f"/s/{token}/done").text


def test_nothing_tells_which_method_made_a_video(client: TestClient, study: Study) -> None:
    token = start(client)
    vote_all(client, study, token)
    addresses = ["/", f"/s/{token}/done", "/s/nobody", *(f"/s/{token}/{n}" for n in range(1, len(study.trials) + 1))]
    for address in addresses:
        answer = client.get(address)
        seen = " ".join([answer.text, str(answer.headers), str(answer.url)])
        for word in (*METHODS, *PEOPLE, *INNER_WORDS):
            assert word.lower() not in seen.lower(), (address, word)
        for source in re.findall(r'(?:src|href|action)="([^"]*)"', answer.text):
            assert re.fullmatch(
                r"/|/start|#questions|data:,|/static/[a-z_.]+|/s/[\w-]{22}(/\d+)?|/videos/[0-9a-f]{24}\.mp4#t=0\.001",
                source,
            )
            assert not any(re.search(rf"\b{frames}\b", source) for frames in LENGTHS)


def test_a_page_shows_its_videos_in_the_participants_order(client: TestClient, study: Study) -> None:
    token = start(client)
    vote_all(client, study, token)
    for number, trial in enumerate(participant_trials(study, token), 1):
        text = client.get(f"/s/{token}/{number}").text
        assert tuple(re.findall(r"/videos/(\w+)\.mp4", text)) == trial.videos
        assert text.count("playsinline") == len(trial.videos)
        assert f"Page {number} of {len(study.trials)}" in text
        assert ("saying something else" in text) == trial.other_speech
        if trial.part == "head_pose":
            assert all(word in text.replace("&#39;", "'") for word in SIMILARITY.values())


def test_words_of_the_study_are_escaped(client: TestClient) -> None:
    text = client.get("/").text
    assert "<p>First &lt;b&gt;words&lt;/b&gt;</p>" in text
    assert "<p>Second &amp; last</p>" in text


def test_taking_part_needs_consent(client: TestClient, votes: Votes) -> None:
    answer = client.post("/start", content="", headers=FORM)
    assert answer.status_code == 422
    assert "Please tick the box" in answer.text


def test_a_participant_goes_on_where_they_stopped(client: TestClient, study: Study) -> None:
    token = start(client)
    trials = participant_trials(study, token)
    assert client.get(f"/s/{token}/5").headers["location"] == f"/s/{token}/1"  # no page is skipped
    for number in (1, 2):
        client.post(f"/s/{token}/{number}", data=answers_to(trials[number - 1]))
    assert client.cookies["study"] == token
    assert f'href="/s/{token}"' in client.get("/").text
    elsewhere = TestClient(client.app, "http://localhost", follow_redirects=False)
    assert "/s/" not in elsewhere.get("/").text
    assert elsewhere.get(f"/s/{token}").headers["location"] == f"/s/{token}/3"
    assert elsewhere.cookies["study"] == token
    assert elsewhere.get(f"/s/{token}/done").headers["location"] == f"/s/{token}/3"
    assert elsewhere.get(f"/s/{token}/2").text.count(" checked") == 3  # going back shows what was answered
    vote_all(elsewhere, study, token, first=3)


def test_the_last_answer_counts(client: TestClient, study: Study, votes: Votes) -> None:
    token = start(client)
    trial = participant_trials(study, token)[0]
    for choice in trial.choices:
        client.post(f"/s/{token}/1", data=dict.fromkeys(("image_quality", "lip_sync", "natural"), choice))
    assert set(votes.of(token)[trial.name].values()) == {(trial.choices[-1],)}


def test_several_videos_can_be_best(client: TestClient, study: Study, votes: Votes) -> None:
    token = start(client)
    trials = participant_trials(study, token)
    for number, trial in enumerate(trials[:-2], 1):
        client.post(f"/s/{token}/{number}", data=answers_to(trial))
    last = trials[-2]
    assert last.part == "video_length"
    answer = client.post(f"/s/{token}/{len(trials) - 1}", content="", headers=FORM)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    client.post(f"/s/{token}/{len(trials) - 1}", data={"best": list(last.choices[1:])})
    assert votes.of(token)[last.name] == {"best": last.choices[1:]}


def test_an_open_question_keeps_the_other_answers(client: TestClient, study: Study, votes: Votes) -> None:
    token = start(client)
    trial = participant_trials(study, token)[0]
    answer = client.post(f"/s/{token}/1", data={"lip_sync": trial.choices[0]})
    assert answer.status_code == 422
    assert answer.text.count(" checked") == 1
    assert len(re.findall(r'class="one missing"', answer.text)) == 2
    assert votes.of(token) == {}


def malformed(trial: Trial, other: str) -> dict[str, str]:
    good = "&".join(f"{key}={value}" for key, value in answers_to(trial).items())
    return {
        "video of another page": good.replace(trial.choices[0], other),
        "path": good.replace(trial.choices[0], "../../manifest.json"),
        "letter": good.replace(trial.choices[0], "A"),
        "unknown question": f"{good}&winner={trial.choices[0]}",
        "two answers": f"{good}&natural={trial.choices[0]}",
        "same answer twice": f"{good}&natural={trial.choices[2]}",
        "empty answer": good.replace(trial.choices[0], ""),
        "SQL": good.replace(trial.choices[0], "x');DROP TABLE votes;--"),
        "script": good.replace(trial.choices[0], "<script>alert(1)</script>"),
        "no form": "\x00\x01\x02",
        "json": '{"image_quality": "A"}',
        "not ASCII": good + "é",
        "percent garbage": good.replace(trial.choices[0], "%ff%fe%00"),
        "null byte": good.replace(trial.choices[0], trial.choices[0] + "%00"),
        "many fields": "&".join(f"f{k}=1" for k in range(500)),
    }


KINDS = list(malformed(Trial("", "comparison", None, ("a", "b", "c")), ""))


@pytest.mark.parametrize("kind", KINDS)
def test_malformed_votes_are_refused(client: TestClient, study: Study, votes: Votes, kind: str) -> None:
    token = start(client)
    first, second = participant_trials(study, token)[:2]
    body = malformed(first, second.choices[0])[kind]
    answer = client.post(f"/s/{token}/1", content=body.encode(), headers=FORM)
    assert answer.status_code == 400
    assert "<script>alert" not in answer.text
    assert votes.of(token) == {}
    assert client.post(f"/s/{token}/1", data=answers_to(first)).status_code == 303  # and the study goes on


@pytest.mark.parametrize("value", ["0", "6", "4.0", "-1", "four", "44", " 4", "\uff14"])
def test_scores_beyond_the_scale_are_refused(client: TestClient, study: Study, votes: Votes, value: str) -> None:
    token = start(client)
    trials = participant_trials(study, token)
    for number, trial in enumerate(trials[:4], 1):
        client.post(f"/s/{token}/{number}", data=answers_to(trial))
    assert client.post(f"/s/{token}/5", data={"similarity": value}).status_code == 400
    assert trials[4].name not in votes.of(token)


def test_oversized_and_strange_requests_are_refused(client: TestClient, study: Study, votes: Votes) -> None:
    token = start(client)
    page = f"/s/{token}/1"

    def pieces() -> Iterator[bytes]:
        for _ in range(MOST_BYTES):
            yield b"a=1&"

    assert client.post(page, content=b"x" * (MOST_BYTES + 1), headers=FORM).status_code == 413
    assert client.post(page, content=pieces(), headers=FORM).status_code == 413
    assert client.post(page, json={"image_quality": "A"}).status_code == 415
    assert client.post(page, files={"image_quality": b"x"}).status_code == 415
    assert client.put(page, data={"a": "1"}).status_code == 405
    assert client.delete(page).status_code == 405
    assert client.get("/start").status_code == 405
    for number in ("0", "2", "13", "-1", "99999999999999999999", "1.5", "x"):
        assert client.post(f"/s/{token}/{number}", data={"natural": "A"}).status_code == 404
    for stranger in ("nobody", "x" * 22, token[:-1], token + "x", "' OR 1=1 --"):
        assert client.post(f"/s/{stranger}/1", data={"natural": "A"}).status_code == 404
        assert client.get(f"/s/{stranger}/1").status_code == 404
    assert votes.of(token) == {}


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:81", "http://localhost.evil.example"]
)
def test_forms_of_other_sites_are_refused(client: TestClient, study: Study, votes: Votes, origin: str) -> None:
    token = start(client)
    data = answers_to(participant_trials(study, token)[0])
    assert client.post(f"/s/{token}/1", data=data, headers={"origin": origin}).status_code == 403
    assert client.post("/start", data={"agree": "yes"}, headers={"origin": origin}).status_code == 403
    assert client.post(f"/s/{token}/1", data=data, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert votes.of(token) == {}
    own = {"origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert client.post(f"/s/{token}/1", data=data, headers=own).status_code == 303


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("192.168.1.7:8000", 200),
        ("study.example.org", 200),
        ("STUDY.example.org:443", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("", 400),
        ("[bad", 400),
    ],
)
def test_only_known_hosts_are_answered(client: TestClient, host: str, status: int) -> None:
    assert client.get("/", headers={"host": host}).status_code == status


def test_answers_carry_security_headers(client: TestClient, study: Study) -> None:
    token = start(client)
    video = f"/videos/{study.trials[0].choices[0]}.mp4"
    for address in ("/", f"/s/{token}/1", "/nowhere", "/static/study.css", video):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert client.get("/", headers={"host": "evil.example"}).headers["x-content-type-options"] == "nosniff"
    assert client.get(f"/s/{token}/1").headers["cache-control"] == "no-store"
    cookie = client.get(f"/s/{token}").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie
    assert "secure" in client.get(f"https://localhost/s/{token}").headers["set-cookie"].lower()


def test_pages_load_nothing_from_elsewhere_and_have_no_inline_code(client: TestClient) -> None:
    token = start(client)
    for address in ("/", f"/s/{token}/1"):
        text = client.get(address).text
        assert "//" not in text.replace("<!doctype", "")
        assert not re.search(r"<style|style=|\son\w+=|<script[^>]*>[^<]", text)


def test_parts_of_a_video_can_be_asked_for(client: TestClient, study: Study) -> None:
    name = study.trials[0].choices[0]
    whole = study.video_file(name).read_bytes()
    address = f"/videos/{name}.mp4"
    answer = client.get(address)
    assert (answer.content, answer.headers["content-type"]) == (whole, "video/mp4")
    assert answer.headers["accept-ranges"] == "bytes"
    part = client.get(address, headers={"range": "bytes=0-1"})  # what Safari asks first
    assert (part.status_code, part.content) == (206, whole[:2])
    assert part.headers["content-range"] == f"bytes 0-1/{len(whole)}"
    assert client.get(address, headers={"range": "bytes=-7"}).content == whole[-7:]
    assert client.get(address, headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    assert client.head(address).headers["content-length"] == str(len(whole))


def test_nobody_is_told_that_a_lost_answer_was_taken(
    client: TestClient, study: Study, votes: Votes, monkeypatch
) -> None:
    token = start(client)
    data = answers_to(participant_trials(study, token)[0])

    def full(*arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(votes, "cast", full)
        answer = client.post(f"/s/{token}/1", data=data)
        assert answer.status_code == 503
        assert "could not be stored" in answer.text
        assert "disk" not in answer.text
    assert client.post(f"/s/{token}/1", data=data).status_code == 303


def test_a_flood_of_participants_ends_and_passes(client: TestClient, study, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("evaluation.user_study.votes.MOST_PARTICIPANTS", 4)
    voter, early, *_ = tokens = [start(client) for _ in range(4)]
    client.post(f"/s/{voter}/1", data=answers_to(participant_trials(study, voter)[0]))
    began(tmp_path, 59, *tokens)
    assert [client.post("/start", data={"agree": "yes"}).status_code for _ in range(2)] == [503, 503]
    assert client.get(f"/s/{early}/1").status_code == 200  # still welcome
    began(tmp_path, 61, *tokens[:3])
    assert [client.post("/start", data={"agree": "yes"}).status_code for _ in range(3)] == [303, 303, 503]
    assert client.get(f"/s/{early}/1").status_code == 404
    assert client.get(f"/s/{tokens[3]}/1").status_code == 200  # who came later has time left
    assert {vote.token for vote in read_votes(tmp_path / "votes.sqlite3")} == {voter}


def test_nobody_loses_a_place_while_there_is_room(client: TestClient, tmp_path: Path) -> None:
    token = start(client)
    began(tmp_path, 600, token)
    start(client)
    assert client.get(f"/s/{token}/1").status_code == 200


def began(folder: Path, minutes: int, *tokens: str) -> None:
    """Let participants have started so many minutes ago."""
    time = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="seconds")
    with closing(sqlite3.connect(folder / "votes.sqlite3")) as connection, connection:
        for token in tokens:
            connection.execute("UPDATE participants SET started = ? WHERE token = ?", (time, token))


def test_a_participant_can_be_removed(client: TestClient, study: Study, votes: Votes, tmp_path: Path) -> None:
    gone, kept = start(client), start(client)
    for token in (gone, kept):
        client.post(f"/s/{token}/1", data=answers_to(participant_trials(study, token)[0]))
    with closing(sqlite3.connect(tmp_path / "votes.sqlite3")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("DELETE FROM participants WHERE token = ?", (gone,))
    assert {vote.token for vote in read_votes(tmp_path / "votes.sqlite3")} == {kept}
    assert client.get(f"/s/{gone}/1").status_code == 404
