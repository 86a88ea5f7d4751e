"""The page in a real browser: it loads clean, filters, scrolls ten thousand traces, hears keys, and runs nothing of a trace."""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import report_results as made_up
from labels import labels
from waiting import HANG

from unwaver.records import Prompt, Trace, Verdict
from unwaver.report import examples, write
from unwaver.report.facts import Facts
from unwaver.study.results import Results
from unwaver.study.rows import Row

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver (apt: chromium chromium-driver)"),
]

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)

# Each tries to leave the text it stands in: markup, attributes, JSON, templates, terminals, direction, size.
SEEDS = (
    "</script><script>window.owned=1</script>",
    "<script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    "<svg onload=window.owned=1>",
    "<svg><script>window.owned=1</script></svg>",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "<a href='javascript:window.owned=1' id=list>click</a>",
    "<style>*{display:none!important}</style>",
    "<base href='https://example.invalid/'>",
    "<meta http-equiv=refresh content='0;url=https://example.invalid/'>",
    "<form action='https://example.invalid/'><input name=theme id=theme></form>",
    "<!--", "-->", "]]>", "<![CDATA[", "<!--<script>", "</textarea></title></style></noscript>",
    '"}],"arms":["owned"],"x":[{"', '\\"}];window.owned=1;//', "\\u003cscript\\u003ewindow.owned=1\\u003c/script\\u003e",
    "'};window.owned=1;//", "`${window.owned=1}`", "${window.owned=1}", "{{constructor.constructor('window.owned=1')()}}",
    "{% raw %}{{ 7*7 }}{% endraw %}", "<%= 7*7 %>", "#{7*7}", "javascript:window.owned=1", "data:text/html,<script>owned=1</script>",
    "&lt;script&gt;window.owned=1&lt;/script&gt;", "&#60;script&#62;window.owned=1", "\u2028window.owned=1\u2029",
    "\x1b[2J\x1b]0;owned\x07\x1b[31mred", "\x9b31mred", "\x00\x01\x02\x03null", "\x7f\x08\x08\x08gone", "\r\nHeader: owned",
    "\u202eyfidom\u202c right to left", "\u2066isolate\u2069", "\u200b\u200c\u200d\ufeffzero width", "\U000e0041\U000e0042 tags",
    "\ud800 lone high", "\udc00 lone low", "\ufffe\uffff not characters", "Z" + "\u0301\u0302\u0303" * 60 + "algo",
    "a" * 30_000, "\n" * 3_000, "🏳️‍🌈" * 500, "שלום עולם", "مرحبا", "__proto__", "constructor", "toString", "NaN", "-0", "1e999",
    '{"__proto__":{"owned":1}}', "on\nclick", "=HYPERLINK(\"https://example.invalid\")", "${jndi:ldap://example.invalid}",
    "' OR 1=1 --", "../../etc/passwd", "%3Cscript%3E", "\\", '"', "'", "`", "</", "<", ">", "&", "&amp;amp;", "\t\t", " ",
)  # fmt: skip


def hostile() -> Results:
    """A hundred traces whose every text is hostile, with verdicts that quote them."""
    results = made_up.results(("default",), per_set=4)
    texts = [*SEEDS, *(f"{a} {b}" for a, b in zip(SEEDS, reversed(SEEDS), strict=True))][:100]
    assert len(texts) == 100
    for number, text in enumerate(texts):
        kind = "harmful" if number % 2 else "benign"
        prompt = Prompt(
            text=f"{number} {text}", kind=kind, behaviour=f"{number} {text}" if number % 2 else None,
            category=text[:80], attack=text[:80], source=text[:80],
        )  # fmt: skip
        trace = Trace(
            prompt=prompt, model=f"model {text[:80]}", reasoning=f"r{number} {text}", answer=f"{text} a{number}",
            block="closed", ending="stop",
        )  # fmt: skip
        found = [
            Verdict(
                trace=trace.id, rubric="refusal@1", judge=f"judge {text[:80]}", looked_at="answer", labels=labels("compliance"),
                quote=text, reason=f"because {text[:300]}",
            )
        ]  # fmt: skip
        results.verdicts += found
        set_ = "harmful-unseen" if number % 2 else "plain-unseen"
        results.rows.append(Row("default", set_, trace, {"refusal:answer": found[0]}))
    return results


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_window_size(1280, 900)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = made_up.results(("default", "improved"), per_set=24)
    return write.write_results(results, tmp_path_factory.mktemp("page"))


def until(test: Callable[[], Any], seconds: float = HANG) -> Any:
    """What a test comes to once it is true."""
    end = time.monotonic() + seconds
    while not (found := test()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.03)
    return found


def opened(browser: Any, path: Path) -> None:
    """Open a page, wait for its script, and hold it to a clean console."""
    browser.get_log("browser")
    browser.get("about:blank")
    browser.get(path.as_uri())
    until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    until(lambda: browser.find_elements("css selector", "#shown article"))


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def keys(browser: Any, text: str) -> None:
    """Press keys where the focus is."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(text).perform()


def status(browser: Any) -> str:
    return browser.find_element("id", "status").text


def counted(browser: Any) -> int:
    """How many traces the filters leave, once they have settled."""
    found = until(lambda: re.match(r"([\d,]+) of [\d,]+ traces$", status(browser)), 30)
    return int(found[1].replace(",", ""))


def each(browser: Any) -> Iterator[int]:
    """Go from trace to trace with j, until all that the filters leave were shown."""
    place = "return [location.hash, document.querySelector('#shown article .facts + .facts')?.textContent]"
    for number in range(counted(browser)):
        if number:
            before = browser.execute_script(place)
            keys(browser, "j")
            until(lambda before=before: browser.execute_script(place) != before)
        yield number


def left(browser: Any, expected: int) -> None:
    """Wait for the filters to leave so many traces."""
    try:
        until(lambda: counted(browser) == expected, 10)
    except AssertionError:
        assert counted(browser) == expected


def choose(browser: Any, filter_: str, text: str) -> None:
    """Choose from a list as a person does: the driver's own way sets the value and tells nobody."""
    script = """
      const select = document.getElementById(arguments[0]);
      select.value = [...select.options].find((one) => one.text === arguments[1]).value;
      for (const kind of ["input", "change"]) select.dispatchEvent(new Event(kind, {bubbles: true}));"""
    browser.execute_script(script, filter_, text)


def shown(browser: Any) -> str:
    return browser.find_element("id", "shown").text


def test_it_loads_without_a_word_on_the_console_and_asks_for_nothing(browser: Any, page: Path) -> None:
    opened(browser, page)
    assert complaints(browser) == []
    asked = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert asked == []
    paint = browser.execute_script("return performance.getEntriesByType('paint')[0].startTime")
    assert paint < 2000


def test_filters_leave_exactly_what_fits(browser: Any, page: Path) -> None:
    results = made_up.results(("default", "improved"), per_set=24)
    rows = results.rows
    opened(browser, page)
    every = counted(browser)
    assert every == len(rows) + len(results.teacher_rows)
    choose(browser, "f-arm", "improved")
    left(browser, sum(r.arm == "improved" for r in rows))
    choose(browser, "f-set", "harmful-unseen")
    mine = [r for r in rows if (r.arm, r.slice) == ("improved", "harmful-unseen")]
    left(browser, len(mine))
    choose(browser, "f-label", "refusal (answer): refusal")
    left(browser, sum(r.label("refusal:answer") == "refusal" for r in mine))
    choose(browser, "f-label", "any")
    choose(browser, "f-arm", "default")
    mine = [r for r in rows if (r.arm, r.slice) == ("default", "harmful-unseen")]
    choose(browser, "f-pattern", "weak vacillation")
    left(browser, sum("weak_vacillation" in r.readings["risky-patterns:both"].labels for r in mine))
    choose(browser, "f-pattern", "any")
    choose(browser, "f-ending", "length")
    left(browser, sum(r.trace.ending == "length" for r in mine))


def test_text_is_searched_in_prompts_reasoning_and_answers(browser: Any, page: Path) -> None:
    results = made_up.results(("default", "improved"), per_set=24)
    opened(browser, page)
    every = counted(browser)
    words = next(r.trace.answer for r in results.rows if r.trace.answer and len(r.trace.answer) > 60)[10:50]
    box = browser.find_element("id", "f-text")
    box.send_keys(words)
    until(lambda: 0 < counted(browser) < every)
    wanted = {
        r.trace.id
        for r in [*results.rows, *results.teacher_rows]
        if words.lower()
        in f"{r.trace.prompt.text}\0{r.trace.prompt.behaviour}\0{r.trace.reasoning}\0{r.trace.answer}".lower()
    }
    left(browser, len(wanted))
    keys(browser, "\ue00c")  # Escape empties the box.
    until(lambda: counted(browser) == every)


def test_harmful_texts_are_not_in_the_page_until_they_are_asked_for(browser: Any, page: Path) -> None:
    opened(browser, page)
    results = made_up.results(("default", "improved"), per_set=24)
    row = next(r for r in results.rows if r.arm == "raw" and r.slice == "harmful-unseen")
    assert row.label("harm:reasoning") != "safe"
    assert len(browser.find_elements("css selector", "#shown .masked")) >= 3
    source = browser.execute_script("return document.body.innerText")
    assert row.trace.prompt.text not in source
    assert (row.trace.reasoning or "?") not in source
    browser.find_elements("css selector", "#shown .masked")[0].click()
    until(lambda: row.trace.prompt.text in shown(browser))
    assert (row.trace.reasoning or "?") not in shown(browser)
    browser.find_element("id", "list").click()
    keys(browser, "\ue011")  # Home
    keys(browser, "\ue007")  # Enter shows all of this trace.
    until(lambda: not browser.find_elements("css selector", "#shown .masked"))
    keys(browser, "j")
    until(lambda: browser.find_elements("css selector", "#shown .masked"))


def test_keys_move_search_compare_and_leave(browser: Any, page: Path) -> None:
    opened(browser, page)
    first = browser.execute_script("return location.hash")
    keys(browser, "j")
    second = until(lambda: (h := browser.execute_script("return location.hash")) != first and h)
    keys(browser, "k")
    until(lambda: browser.execute_script("return location.hash") == first)
    browser.find_element("id", "list").click()
    keys(browser, "\ue011\ue015")  # Home, down
    until(lambda: browser.execute_script("return location.hash") == second)
    keys(browser, "/")
    assert browser.switch_to.active_element.get_attribute("id") == "f-text"
    keys(browser, "\ue00c")
    assert browser.switch_to.active_element.get_attribute("id") == "list"
    keys(browser, "c")
    columns = until(
        lambda: (found := browser.find_elements("css selector", "#shown article")) and len(found) > 1 and found
    )
    assert [column.find_element("css selector", "h3").text for column in columns] == ["raw", "default", "improved"]
    assert browser.find_element("id", "compare").get_attribute("aria-pressed") == "true"


def test_evidence_is_marked(browser: Any, page: Path) -> None:
    opened(browser, page)
    choose(browser, "f-set", "plain-unseen")
    choose(browser, "f-label", "refusal (answer): refusal")
    until(lambda: browser.find_elements("css selector", "#shown mark"))
    assert len(browser.find_element("css selector", "#shown mark").text.split()) == 6


def test_words_that_were_given_are_marked_and_evidence_in_them_too(browser: Any, tmp_path: Path) -> None:
    results = made_up.results(("default",), per_set=4)
    row = next(row for row in results.rows if row.arm == "default" and row.slice == "plain-unseen")
    trace = row.trace.model_copy(
        update={"reasoning": "😀 Somebody begins. It goes on alone.", "shielded": ((0, 18),), "answer": "Yes."}
    )
    verdict = Verdict(
        trace=trace.id,
        rubric="refusal@1",
        judge="j",
        looked_at="reasoning",
        labels=labels("compliance"),
        quote="begins. It",
    )
    results.rows = [Row("default", "plain-unseen", trace, {"refusal:reasoning": verdict})]
    results.verdicts, results.teacher_rows, results.taught = [verdict], [], {}
    opened(browser, write.write_results(results, tmp_path))
    [span] = browser.find_elements("css selector", "#shown .given")
    assert span.text == trace.reasoning[:18]
    texts = [mark.text for mark in browser.find_elements("css selector", "#shown mark")]
    assert texts == ["begins.", " It"] or texts == ["begins.", "It"]
    assert "were given to it and are not its own" in shown(browser)


def test_light_and_dark_change_places(browser: Any, page: Path) -> None:
    opened(browser, page)
    ground = "return getComputedStyle(document.body).backgroundColor"
    ink = "return getComputedStyle(document.querySelector('#figure-rates text')).fill"
    before = (browser.execute_script(ground), browser.execute_script(ink))
    browser.find_element("id", "theme").click()
    after = (browser.execute_script(ground), browser.execute_script(ink))
    assert before[0] != after[0]
    assert before[1] != after[1]
    browser.find_element("id", "theme").click()
    assert (browser.execute_script(ground), browser.execute_script(ink)) == before


def test_at_phone_width_nothing_is_wider_than_the_page_and_a_trace_covers_the_list(browser: Any, page: Path) -> None:
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        browser.get("about:blank")
        browser.get(page.as_uri())
        until(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        detail = browser.find_element("id", "detail")
        assert not detail.is_displayed()
        row = until(lambda: browser.find_elements("css selector", "#list .row"))[2]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", row)
        row.click()
        until(detail.is_displayed)
        browser.find_element("id", "back").click()
        until(lambda: not detail.is_displayed())
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_answers_come_first_and_the_details_within_four_screens(browser: Any, page: Path) -> None:
    desk = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", desk)
    try:
        opened(browser, page)
        top = "return document.getElementById(arguments[0]).getBoundingClientRect().top + scrollY"
        places = [
            browser.execute_script(top, name) for name in ("answers", "trade-off", "results", "examples", "details")
        ]
        assert places == sorted(places)
        assert places[0] < 400 and places[-1] <= 4 * 800
        asked = [one.text for one in browser.find_elements("css selector", ".answers dt")]
        assert asked == ["Is it safer?", "Is it still smart?", "Does it refuse too much?", "How sure is that?"]
        assert not browser.execute_script("return document.querySelectorAll('details[open]').length")
        nav = browser.execute_script("const n = document.querySelector('nav'); return [n.scrollWidth, n.clientWidth]")
        assert nav[0] <= nav[1]
        for link in browser.find_elements("css selector", "nav a"):
            assert browser.execute_script(top, link.get_attribute("href").partition("#")[2]) is not None
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_address_opens_what_is_folded_around_it(browser: Any, page: Path) -> None:
    opened(browser, page)
    table = browser.find_element("id", "table-comparisons")
    assert not table.is_displayed()
    browser.execute_script("location.hash = '#table-comparisons'")
    until(table.is_displayed)
    assert len(browser.find_elements("css selector", "details.fold[open]")) == 1


def test_two_replies_of_every_arm_are_masked_until_clicked_and_lead_to_their_trace(browser: Any, page: Path) -> None:
    opened(browser, page)
    until(lambda: browser.find_elements("css selector", "#replies .who"))
    assert [one.text for one in browser.find_elements("css selector", "#replies .who")] == [
        "raw",
        "default",
        "improved",
    ]
    results = made_up.results(("default", "improved"), per_set=24)
    (harmful, harmless) = examples.examples(Facts(results))
    by_id = {row.trace.id: row.trace for row in results.rows}
    asked = by_id[harmful.traces["raw"]].prompt.text
    shown_ = browser.find_element("id", "replies")
    assert asked not in shown_.text
    assert by_id[harmless.traces["raw"]].prompt.text in shown_.text
    shown_.find_element("css selector", ".head .masked").click()
    until(lambda: asked in browser.find_element("id", "replies").text)
    browser.find_elements("css selector", "#replies a")[0].click()
    until(lambda: f"· {harmful.traces['raw'][:12]}" in shown(browser))
    assert complaints(browser) == []


def test_the_trade_off_fits_a_telephone(browser: Any, page: Path) -> None:
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        opened(browser, page)
        script = """
          const svg = [...document.querySelectorAll('#figure-trade-off svg')].filter((one) => one.clientWidth)[0];
          const box = svg.getBoundingClientRect();
          return [box.left, box.right, box.width / svg.viewBox.baseVal.width,
                  Math.max(...[...svg.querySelectorAll('text')].map((one) => one.getBoundingClientRect().right))];"""
        left, right, scale, text = browser.execute_script(script)
        assert left >= 0 and right <= 390 and text <= 390
        assert scale > 0.95  # drawn for this width, not shrunk to it
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_nothing_in_a_hundred_hostile_traces_runs_or_breaks_the_page(
    browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write.write_results(hostile(), tmp_path_factory.mktemp("hostile"))
    opened(browser, path)
    title = browser.title
    elements = "return document.querySelectorAll('#browser *').length"
    browser.find_element("id", "unmask").click()
    seen = 0
    for set_ in ("harmful-unseen", "plain-unseen"):
        choose(browser, "f-arm", "default")
        choose(browser, "f-set", set_)
        choose(browser, "f-label", "refusal (answer): compliance")
        for _ in each(browser):
            seen += "because" in shown(browser)
    assert seen >= 100
    assert browser.execute_script("return typeof window.owned") == "undefined"
    assert browser.execute_script("return ({}).owned") is None
    assert browser.title == title
    assert (
        browser.execute_script(
            "return document.querySelectorAll('#shown :is(script,img,svg,iframe,style,base,meta,form,a)').length"
        )
        == 0
    )
    assert browser.execute_script(elements) < 2000
    assert browser.current_url.startswith(path.as_uri())
    assert complaints(browser) == []
    assert (
        browser.execute_script(
            "return document.querySelectorAll('#replies :is(script,img,svg,iframe,style,form)').length"
        )
        == 0
    )
    acting = "return /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]/.test(document.body.textContent)"
    assert not browser.execute_script(acting)


def test_what_the_page_carries_is_what_was_written(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every hostile text arrives in the page character by character (made visible), not nearly so."""
    from unwaver.plain import visible

    results = hostile()
    path = write.write_results(results, tmp_path_factory.mktemp("carried"))
    opened(browser, path)
    browser.find_element("id", "unmask").click()
    choose(browser, "f-set", "plain-unseen")
    choose(browser, "f-arm", "default")
    found = set()
    for _ in each(browser):
        texts = browser.execute_script(
            "return [...document.querySelectorAll('#shown article .text')].map((n) => n.textContent)"
        )
        found |= set(texts)
    written = {
        visible(text)
        for row in results.rows
        if row.slice == "plain-unseen" and row.trace.model.startswith("model")
        for text in (row.trace.reasoning, row.trace.answer)
        if text is not None
    }
    assert len(written) == 100
    assert written <= found


def test_ten_thousand_traces_still_scroll(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    results = made_up.results(("default", "improved", "short"), per_set=500, length=40)
    path = write.write_results(results, tmp_path_factory.mktemp("many"))
    opened(browser, path)
    every = counted(browser)
    assert every >= 10_000
    assert browser.execute_script("return document.querySelectorAll('#list .row').length") < 60
    script = """
      const done = arguments[0], list = document.getElementById("list"), shown = [];
      let step = 0;
      requestAnimationFrame(function frame() {
        shown.push(list.querySelectorAll(".row").length);
        list.scrollTop = step * list.scrollHeight / 60;
        if (step++ < 60) requestAnimationFrame(frame); else done(shown);
      });"""
    shown = browser.execute_async_script(script)
    assert len(shown) == 61
    assert min(shown) > 0 and max(shown) < 60  # however far it is scrolled, no more rows are made than can be seen
    browser.find_element("id", "list").click()
    keys(browser, "\ue010")  # End
    until(lambda: browser.find_elements("css selector", f"#row-{every - 1}[aria-selected=true]"))
    browser.find_element("id", "f-text").send_keys("neighbours")
    until(lambda: counted(browser) < every, 30)


def test_it_prints_in_light_with_everything_folded_shown(browser: Any, page: Path) -> None:
    opened(browser, page)
    watch = """
      addEventListener("beforeprint", () => {
        const folded = [...document.querySelectorAll("details table")];
        window.printed = {
          tables: folded.length,
          least: Math.min(...folded.map((one) => one.getBoundingClientRect().height)),
          theme: document.documentElement.dataset.theme,
        };
      });"""
    browser.execute_script(watch)
    whole = printed_pages(browser)
    found = browser.execute_script("return window.printed")
    assert found["tables"] > 5
    assert found["least"] > 40
    assert found["theme"] == "light"
    assert complaints(browser) == []
    assert not browser.execute_script("return document.querySelectorAll('details[open]').length")
    # What is folded on the screen takes pages of its own on paper.
    browser.execute_script("document.querySelectorAll('details').forEach((one) => one.remove())")
    assert printed_pages(browser) < whole


def printed_pages(browser: Any) -> int:
    """How many pages the browser's PDF has."""
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    return len(re.findall(rb"/Type\s*/Page\b", pdf))
