"""The pages of a study: welcome, one page per trial, thanks."""

import sqlite3
from collections.abc import Iterable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from evaluation.user_study.ballot import (
    LETTERS,
    MOST_BYTES,
    Answers,
    IncompleteBallotError,
    MalformedBallotError,
    options,
    parse_ballot,
)
from evaluation.user_study.protection import Protection
from evaluation.user_study.questions import PARTS
from evaluation.user_study.study import Study, Trial, participant_trials
from evaluation.user_study.votes import FullError, Votes

COOKIE = "study"
_COOKIE_SECONDS = 90 * 24 * 3600  # ours: a study that is open longer than a season is another study


class Pages:
    """Answers requests for one study.

    Args:
        study: What is shown.
        votes: Where answers go.
    """

    def __init__(self, study: Study, votes: Votes):
        self._study, self._votes = study, votes
        templates = PackageLoader("evaluation.user_study", "templates")
        self._templates = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)

    def application(self, hosts: Iterable[str] = ()) -> ASGIApp:
        """The web application.

        Args:
            hosts: Names under which it is published, beside `localhost` and IP addresses.
        """
        person = "/s/{token}"
        routes = [
            Route("/", self.welcome),
            Route("/start", self.start, methods=["POST"]),
            Route(person, self.resume),
            Route(f"{person}/done", self.done),
            Route(f"{person}/{{number:int}}", self.show),
            Route(f"{person}/{{number:int}}", self.vote, methods=["POST"]),
            Route("/videos/{name}.mp4", self.video),
            Mount("/static", StaticFiles(packages=[("evaluation.user_study", "static")])),
        ]
        errors: dict[Any, Any] = {HTTPException: self.refuse, sqlite3.Error: self.not_stored, Exception: self.refuse}
        return Protection(Starlette(routes=routes, exception_handlers=errors), hosts)

    def welcome(self, request: Request) -> Response:
        """The first page: what the study is, and the consent to it."""
        return self._page("welcome.html", token=self._known_token(request), agreed=True)

    async def start(self, request: Request) -> Response:
        """Give whoever agreed a token, and lead to the first trial."""
        if await _body(request) != b"agree=yes":
            return self._page("welcome.html", 422, token=self._known_token(request), agreed=False)
        try:
            token = await run_in_threadpool(self._votes.enter)
        except FullError:
            raise HTTPException(503, "This study takes no further participants. Thank you for coming!") from None
        return self._remembered(request, token, RedirectResponse(f"/s/{token}/1", 303))

    def resume(self, request: Request) -> Response:
        """Lead to the first trial without an answer."""
        token, trials, answers = self._participant(request)
        return self._remembered(request, token, RedirectResponse(_next_page(token, trials, answers), 303))

    def show(self, request: Request) -> Response:
        """A trial, with the answers already given."""
        token, trials, answers = self._participant(request)
        number = request.path_params["number"]
        if not 1 <= number <= len(trials):
            raise HTTPException(404)
        if number > _first_open(trials, answers):
            return RedirectResponse(_next_page(token, trials, answers), 303)
        return self._trial(token, trials, number, answers.get(trials[number - 1].name, {}))

    async def vote(self, request: Request) -> Response:
        """Store the answers of a page, and lead to the next."""
        token, trials, answers = await run_in_threadpool(self._participant, request)
        number = request.path_params["number"]
        if not 1 <= number <= min(len(trials), _first_open(trials, answers)):
            raise HTTPException(404)
        trial, body = trials[number - 1], await _body(request)
        try:
            ballot = parse_ballot(body, trial)
        except MalformedBallotError as error:
            raise HTTPException(400, f"This is no answer to the page: {error}.") from None
        except IncompleteBallotError as error:
            return self._trial(token, trials, number, error.answers, error.missing)
        await run_in_threadpool(self._votes.cast, token, trial.name, ballot)
        answers[trial.name] = ballot
        following = f"/s/{token}/{number + 1}" if number < len(trials) else _next_page(token, trials, answers)
        return RedirectResponse(following, 303)

    def done(self, request: Request) -> Response:
        """Thanks, when everything is answered."""
        token, trials, answers = self._participant(request)
        following = _next_page(token, trials, answers)
        if not following.endswith("/done"):
            return RedirectResponse(following, 303)
        return self._page("done.html", token=token, total=len(trials))

    def video(self, request: Request) -> Response:
        """A video of the study, in whole or in parts: a name that is not in the manifest leads nowhere."""
        name = request.path_params["name"]
        if name not in self._study.videos:
            raise HTTPException(404)
        headers = {"Cache-Control": "private, max-age=86400"}  # going back must not load it again
        return FileResponse(self._study.video_file(name), media_type="video/mp4", headers=headers)

    def refuse(self, request: Request, error: Exception) -> Response:
        """A page for whatever cannot be answered."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        detail = error.detail if isinstance(error, HTTPException) and error.detail else "Something went wrong here."
        detail = "There is no such page." if status == 404 else detail
        headers = error.headers if isinstance(error, HTTPException) else None
        return self._page("refused.html", status, headers, detail=detail, retry=False)

    def not_stored(self, request: Request, error: Exception) -> Response:
        """A page for the case that the disk refuses: nobody is told that a lost answer was taken."""
        return self._page("refused.html", 503, detail="Your answers could not be stored just now.", retry=True)

    def _trial(
        self, token: str, trials: list[Trial], number: int, given: Answers, missing: Iterable[str] = ()
    ) -> Response:
        trial = trials[number - 1]
        part = PARTS[trial.part]
        return self._page(
            "trial.html",
            422 if missing else 200,
            token=token,
            number=number,
            total=len(trials),
            trial=trial,
            part=part,
            letters=dict(zip(trial.choices, LETTERS, strict=False)),
            questions=[(question, options(question, trial)) for question in part.questions],
            given=given,
            missing=missing,
        )

    def _page(self, template: str, status: int = 200, headers: Any = None, **content: Any) -> HTMLResponse:
        text = self._templates.get_template(template).render(introduction=self._study.introduction, **content)
        return HTMLResponse(text, status, headers)

    def _participant(self, request: Request) -> tuple[str, list[Trial], dict[str, Answers]]:
        token = request.path_params["token"]
        if not self._votes.knows(token):
            raise HTTPException(404)
        return token, participant_trials(self._study, token), self._votes.of(token)

    def _known_token(self, request: Request) -> str | None:
        token = request.cookies.get(COOKIE, "")
        return token if self._votes.knows(token) else None

    def _remembered(self, request: Request, token: str, response: Response) -> Response:
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, _COOKIE_SECONDS, httponly=True, samesite="lax", secure=secure)
        return response


def _first_open(trials: list[Trial], answers: dict[str, Answers]) -> int:
    """Number of the first trial without an answer; one more than there are when all have one."""
    return next((n for n, trial in enumerate(trials, 1) if trial.name not in answers), len(trials) + 1)


def _next_page(token: str, trials: list[Trial], answers: dict[str, Answers]) -> str:
    number = _first_open(trials, answers)
    return f"/s/{token}/{number}" if number <= len(trials) else f"/s/{token}/done"


async def _body(request: Request) -> bytes:
    """The body of a form, never more of it in memory than a form of ours can have."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Only the forms of this study are taken.")
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BYTES:
                raise HTTPException(413, "This is more than a form of this study can be.")
    except ClientDisconnect:
        raise HTTPException(400) from None
    return body
