"""A voter in a real browser: by keyboard alone, on a phone, and without script."""

import shutil
from collections.abc import Iterator

import pytest

from evaluation.user_study.build import build_study
from evaluation.user_study.study import Study, participant_trials
from evaluation.user_study.votes import read_votes
from tests.study_material import LENGTHS, METHODS, material, plan, served, talking_square

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra dev)")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
FINGER = 44  # px; WCAG 2.2, target size, level AAA


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Of one person: two comparisons, one head pose, one comparison of lengths."""
    folder = material(tmp_path_factory.mktemp("study"))
    for leopold in folder.rglob("leopold.mp4"):
        leopold.unlink()
    for method in METHODS:
        talking_square(folder / method / "held_out/marguerite.mp4", frames=50)
    return build_study(folder / "study", plan(folder, head_pose=METHODS[:1]), say=lambda line: None)


@pytest.fixture(scope="module")
def url(study: Study) -> Iterator[str]:
    with served(study.folder) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM)
        yield chromium
        chromium.close()


class Watched:
    """A page whose complaints and requests are kept."""

    def __init__(self, browser, **settings):
        self.page = browser.new_context(**settings).new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def check(self, url: str) -> None:
        """Nothing went wrong, nothing was loaded from elsewhere."""
        assert self.complaints == []
        assert [address for address in self.requests if not address.startswith((url + "/", "data:,"))] == []
        self.page.context.close()


def focus(page) -> str:
    """What has the focus: kind of input, its question and value, or the element."""
    return page.evaluate("(e => [e.tagName, e.name, e.value].filter(Boolean).join(' '))(document.activeElement)")


def tab_to(page, start: str) -> None:
    """Press Tab until the focus is on an element described by `start`."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if focus(page).startswith(start):
            return
    raise AssertionError(f"Tab does not lead to {start}; the focus is on {focus(page)}")


def wait_until(page, condition: str) -> None:
    """Wait for a condition in the page (whose policy forbids the driver's own way of waiting, `eval`)."""
    for _ in range(300):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not within 30 s: {condition}")


def stored(study: Study, token: str) -> dict[tuple[str, str], tuple[str, ...]]:
    votes = read_votes(study.folder / "votes.sqlite3")
    return {(vote.trial, vote.question): vote.answer for vote in votes if vote.token == token}


def begin_by_keyboard(page, url: str) -> str:
    page.goto(url)
    tab_to(page, "INPUT agree")
    page.keyboard.press("Space")
    tab_to(page, "BUTTON")
    page.keyboard.press("Enter")
    page.wait_for_url("**/s/*/1")
    return page.url.split("/")[-2]


def test_a_whole_study_by_keyboard(browser, study: Study, url: str) -> None:
    watched = Watched(browser, viewport={"width": 1280, "height": 800})
    page = watched.page
    token = begin_by_keyboard(page, url)
    expected = {}
    for number, trial in enumerate(participant_trials(study, token), 1):
        page.wait_for_url(f"**/s/*/{number}")
        assert f"Page {number} of {len(study.trials)}" in page.title()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the questions"
        page.keyboard.press("Enter")  # jumps over the controls of the videos
        if trial.part == "comparison":
            for steps, question in enumerate(("image_quality", "lip_sync", "natural")):
                page.keyboard.press("Tab")
                assert focus(page) == f"INPUT {question} {trial.choices[0]}"
                page.keyboard.press("Space")
                for _ in range(steps):
                    page.keyboard.press("ArrowRight")
                expected[trial.name, question] = (trial.choices[steps],)
        elif trial.part == "head_pose":
            page.keyboard.press("Tab")
            page.keyboard.press("Space")
            for _ in range(3):
                page.keyboard.press("ArrowDown")
            expected[trial.name, "similarity"] = ("4",)
        else:
            for k in range(len(LENGTHS)):
                page.keyboard.press("Tab")
                assert focus(page) == f"INPUT best {trial.choices[k]}"
                if k:
                    page.keyboard.press("Space")
            expected[trial.name, "best"] = trial.choices[1:]
        page.keyboard.press("Tab")
        assert focus(page) == "BUTTON"
        page.keyboard.press("Enter")
    page.wait_for_url("**/done")
    assert "Thank you" in page.inner_text("h1")
    assert stored(study, token) == expected
    watched.check(url)


def test_a_whole_study_on_a_phone(browser, study: Study, url: str) -> None:
    watched = Watched(browser, **PHONE)
    page = watched.page
    page.goto(url)
    page.tap("text=I have read this")
    page.tap("button")
    page.wait_for_url("**/s/*/1")
    token = page.url.split("/")[-2]
    expected = {}
    for number, trial in enumerate(participant_trials(study, token), 1):
        page.wait_for_url(f"**/s/*/{number}")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        for target in page.query_selector_all("fieldset label, button, a.button"):
            box = target.bounding_box()
            assert min(box["width"], box["height"]) >= FINGER, target.inner_text()
        for video in page.query_selector_all("video"):
            assert video.bounding_box()["width"] > 340
        for fieldset in page.query_selector_all("fieldset"):
            last = fieldset.query_selector_all("label")[-1]
            last.tap()
            question = last.query_selector("input").get_attribute("name")
            expected[trial.name, question] = ("5",) if trial.part == "head_pose" else (trial.choices[-1],)
        if number == 2:  # the phone is put away; later the address alone is opened again
            page.goto(url)
            page.tap("text=Go on where you stopped")
            page.wait_for_url("**/s/*/2")
            for fieldset in page.query_selector_all("fieldset"):
                fieldset.query_selector_all("label")[-1].tap()
        page.tap("button")
    page.wait_for_url("**/done")
    assert stored(study, token) == expected
    watched.check(url)


def test_videos_play_one_at_a_time_and_by_keyboard(browser, study: Study, url: str) -> None:
    watched = Watched(browser)
    page = watched.page
    begin_by_keyboard(page, url)
    wait_until(page, "[...document.querySelectorAll('video')].every(v => v.readyState > 0)")
    assert page.evaluate("[...document.querySelectorAll('video')].map(v => v.videoWidth)") == [64] * 4
    playing = "[...document.querySelectorAll('video')].map(v => !v.paused)"
    page.evaluate("document.querySelectorAll('video').forEach(v => v.loop = true)")
    for turn in range(3):
        page.locator("video").nth(turn).focus()
        page.keyboard.press("Space")
        wait_until(page, f"document.querySelectorAll('video')[{turn}].currentTime > 0.1")
        assert page.evaluate(playing) == [k == turn for k in range(4)]
    watched.check(url)


def test_an_open_question_is_shown_by_the_browser_or_the_page(browser, study: Study, url: str) -> None:
    watched = Watched(browser)
    page = watched.page
    token = begin_by_keyboard(page, url)
    page.click("button")
    assert page.url.endswith("/1")  # the browser itself asks for an answer
    page.evaluate("document.querySelector('form').noValidate = true")
    page.locator("fieldset").first.locator("label").nth(1).click()
    page.click("button")
    page.wait_for_selector("[role=alert]")
    assert page.locator("fieldset.missing").count() == 2
    assert page.locator("input:checked").count() == 1
    assert stored(study, token) == {}
    page.context.close()  # the browser itself reports the refused form


def test_no_script_is_needed_to_vote(browser, study: Study, url: str) -> None:
    watched = Watched(browser, java_script_enabled=False)
    page = watched.page
    page.goto(url)
    page.check("input[name=agree]")
    page.click("button")
    page.wait_for_url("**/s/*/1")
    for question in ("image_quality", "lip_sync", "natural"):
        page.locator(f"label:has(input[name={question}])").first.click()
    page.click("button")
    page.wait_for_url("**/s/*/2")
    assert len(stored(study, page.url.split("/")[-2])) == 3
    watched.check(url)
