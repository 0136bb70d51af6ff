"""`/ui`, the console, in a real browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from conftest import PATIENCE, Server, fits, unreachable

Open = Callable[..., Page]
KEYS = [
    {"name": "ann", "key": "key-of-ann-012345"},
    {"name": "ben", "key": "key-of-ben-012345"},
    {"name": "ops", "key": "key-of-ops-012345", "admin": True},
]


def console(server: Server, open_page: Open, **options: object) -> Page:
    page = open_page(server.url + "/ui", "text=live", **options)
    page.wait_for_selector("#backends li")
    return page


def use_key(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")
    expect(page.locator("#link")).to_have_text("live")


def test_a_call_and_its_session_appear_and_the_button_ends_it(server: Server, open_page: Open) -> None:
    page = console(server, open_page)
    who = {"worker_id": "live-worker"}
    server.post("/api/v1/session/create", {**who, "resource_type": "counter"})
    session = page.locator("#sessions li", has_text="live-worker")
    expect(session).to_contain_text("counter")
    answers = []
    long = {**who, "action": "counter:add", "params": {"ms": 600_000}}
    calling = threading.Thread(target=lambda: answers.append(server.refused("/api/v1/execute", long)))
    calling.start()
    call = page.locator("#calls li", has_text="live-worker")
    expect(call).to_contain_text("runs")
    expect(session).to_contain_text("1 call")
    page.get_by_role("button", name="Kill the counter session of live-worker").click()
    expect(session).to_have_count(0)
    expect(call).not_to_contain_text("runs")
    calling.join()
    assert answers[0]["code"] != 0
    call.locator("summary").click()
    expect(call).to_contain_text(answers[0]["meta"]["trace_id"])
    expect(call).to_contain_text("Came by")


def test_a_call_is_found_in_the_log_by_its_trace(server: Server, open_page: Open) -> None:
    page = console(server, open_page)
    page.get_by_label("Tool", exact=True).select_option(label="echo:text")
    page.get_by_role("textbox", name="text string").fill("seen in the console")
    page.get_by_role("button", name="Run", exact=True).click()
    answer = page.get_by_role("region", name="Answer", exact=True)
    expect(answer).to_contain_text("code 0")
    trace = answer.locator(".trace code").inner_text()
    page.get_by_label("Filter calls").fill(trace)
    call = page.locator("#calls li:visible")
    expect(call).to_have_count(1)
    call.locator("summary").click()
    expect(call).to_contain_text("console")
    assert server.logged(trace_id=trace)["tool"] == "echo:text"


def test_a_picture_is_a_picture(server: Server, open_page: Open) -> None:
    page = console(server, open_page)
    page.get_by_label("Tool", exact=True).select_option(label="echo:image")
    page.get_by_role("button", name="Run", exact=True).click()
    picture = page.get_by_role("region", name="Answer", exact=True).get_by_role("img")
    expect(picture).to_be_visible()


def test_failures_can_be_looked_at_alone_and_the_list_held(server: Server, open_page: Open) -> None:
    page = console(server, open_page)
    server.post("/api/v1/execute", {"worker_id": "filter", "action": "echo:text", "params": {"text": "a"}})
    server.refused("/api/v1/execute", {"worker_id": "filter", "action": "echo:nothing"})
    page.get_by_label("Filter calls").fill("filter")
    calls = page.locator("#calls li:visible")
    expect(calls).to_have_count(2)
    page.get_by_role("button", name="Failed only").click()
    expect(calls).to_have_count(1)
    expect(calls).to_contain_text("1001")
    page.get_by_role("button", name="Pause").click()
    ended = page.get_by_role("region", name="The server in numbers").get_by_text(" ended")
    before = ended.inner_text()
    server.refused("/api/v1/execute", {"worker_id": "filter", "action": "echo:nothing"})
    # The numbers come after the call on the stream: by then it would be in the list.
    expect(ended).not_to_have_text(before)
    expect(calls).to_have_count(1)
    page.get_by_role("button", name="Paused").click()
    expect(calls).to_have_count(2)


def test_a_key_sees_its_own_and_an_operator_everything(start: Callable[..., Server], open_page: Open) -> None:
    locked = start(security={"auth": {"keys": KEYS}})
    for name in ("ann", "ben"):
        headers = {"X_API_Key": f"key-of-{name}-012345"}
        create = {"worker_id": f"worker-of-{name}", "resource_type": "counter"}
        locked.post("/api/v1/session/create", create, **headers)
        add = {"worker_id": f"worker-of-{name}", "action": "counter:add"}
        locked.post("/api/v1/execute", add, **headers)
    page = open_page(locked.url + "/ui", "dialog[open]")
    use_key(page, "key-of-ann-012345")
    expect(page.locator("#sessions li")).to_have_count(1)
    expect(page.locator("#calls li")).to_have_count(1)
    expect(page.locator("#sessions")).to_contain_text("worker-of-ann")
    expect(page.locator("section.log")).to_be_hidden()
    expect(page.locator("#backends")).not_to_contain_text("Library")
    page.get_by_role("button", name="Key set").click()
    use_key(page, "key-of-ops-012345")
    expect(page.locator("#sessions li")).to_have_count(2)
    expect(page.locator("#sessions")).to_contain_text("key ben")
    expect(page.locator("#calls li")).to_have_count(2)
    expect(page.locator("section.log")).to_be_visible()
    page.get_by_role("button", name="Kill the counter session of worker-of-ben").click()
    expect(page.locator("#sessions li")).to_have_count(1)


def test_the_page_comes_back_with_the_server(start: Callable[..., Server], open_page: Open) -> None:
    with socket.socket() as kept:
        # Keeps the port from others, but not from servers: they may listen beside a socket that does not.
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = kept.getsockname()[1]
        server = start(server={"port": port})
        page = console(server, open_page)
        server.process.terminate()
        assert server.process.wait(PATIENCE / 1000) == 0, "an open stream does not hold the server"
        expect(page.locator("#link")).not_to_have_text("live")
        start(server={"port": port})
        expect(page.locator("#link")).to_have_text("live")


def test_the_keyboard_is_enough(server: Server, open_page: Open) -> None:
    page = console(server, open_page)
    who = {"worker_id": "by-keyboard"}
    server.post("/api/v1/session/create", {**who, "resource_type": "counter"})
    kill = page.get_by_role("button", name="Kill the counter session of by-keyboard")
    expect(kill).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if kill.evaluate("one => one === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(kill).to_have_count(0)


def test_light_and_dark_can_be_chosen(server: Server, open_page: Open) -> None:
    page = console(server, open_page, color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    button = page.get_by_role("button", name="Colours")
    button.click()
    button.click()
    expect(button).to_have_text("Dark")
    assert page.evaluate(paper) != light
    page.reload()
    expect(button).to_have_text("Dark")
    assert page.evaluate(paper) != light


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_everybody_can_use_it(server: Server, open_page: Open, width: int, scheme: str) -> None:
    page = console(server, open_page, viewport={"width": width, "height": 800}, color_scheme=scheme)
    create = {"worker_id": "a-worker-with-a-long-name-that-has-no-end-and-no-spaces-at-all" * 2}
    server.post("/api/v1/session/create", {**create, "resource_type": "counter"})
    server.post("/api/v1/execute", {**create, "action": "counter:add"})
    server.refused("/api/v1/execute", {**create, "action": "counter:" + "x" * 70})
    page.get_by_label("Tool", exact=True).select_option(label="counter:add")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("region", name="Answer", exact=True)).to_be_visible()
    page.locator("#calls summary").first.click()
    expect(page.locator("#sessions li").first).to_be_visible()
    assert fits(page)
    assert unreachable(page) == []
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
