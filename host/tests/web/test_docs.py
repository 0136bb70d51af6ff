"""`/docs` in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from conftest import Server, fits, unreachable

Open = Callable[..., Page]


def answer(page: Page) -> Any:
    return page.get_by_role("region", name="Answer", exact=True)


def test_a_tool_is_found_and_called(server: Server, open_page: Open) -> None:
    page = open_page(server.url + "/docs", "text=counter:add")
    page.get_by_role("searchbox").fill("counter:add")
    expect(page.get_by_role("navigation", name="Operations").get_by_text("echo:echo")).to_be_hidden()
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="counter:add").click()
    page.get_by_label("by").fill("5")
    page.get_by_label("X-Worker-ID").fill("docs-test")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(answer(page)).to_contain_text("code 0")
    expect(answer(page)).to_contain_text('"value": 5')
    page.get_by_text("As a command").click()
    expect(page.get_by_role("region", name="Command")).to_contain_text('{"by":5}')


def test_a_route_is_called_and_its_refusal_shown(server: Server, open_page: Open) -> None:
    page = open_page(server.url + "/docs#route/createSession", "text=Create a session")
    body = page.get_by_role("button", name="Edit as JSON")
    body.click()
    page.get_by_label("Parameters as JSON").fill('{"worker_id": "w", "resource_type": "nobody"}')
    page.get_by_role("button", name="Send").click()
    expect(answer(page)).to_contain_text("code 1005")
    expect(answer(page)).to_contain_text("no backend has the resource type")


def test_a_picture_is_a_picture(server: Server, open_page: Open) -> None:
    page = open_page(server.url + "/docs#tool/echo_image", "h1")
    page.get_by_role("button", name="Run", exact=True).click()
    picture = answer(page).get_by_role("img")
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("naturalWidth", 1)


def test_a_call_is_cancelled_in_the_server(server: Server, open_page: Open) -> None:
    page = open_page(server.url + "/docs#tool/echo_sleep", "h1")
    page.get_by_label("ms").fill("600000")
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_have_text("Cancelled, in the server too.")


def test_a_key_is_asked_for_and_kept_in_the_tab(start: Callable[..., Server], open_page: Open) -> None:
    locked = start(security={"auth": {"keys": [{"name": "ann", "key": "key-of-ann-012345"}]}})
    page = open_page(locked.url + "/docs", "dialog[open]")
    page.get_by_label("Key", exact=True).fill("key-of-ann-012345")
    page.keyboard.press("Enter")
    page.get_by_role("navigation", name="Operations").get_by_role("link", name="echo:text").click()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(answer(page)).to_contain_text("code 0")
    assert page.evaluate("[localStorage.length, document.cookie]") == [1, ""]
    page.reload()
    expect(page.get_by_role("heading", name="echo:text")).to_be_visible()


def test_a_refusal_that_comes_late_does_not_ask_again(start: Callable[..., Server], open_page: Open) -> None:
    locked = start(security={"auth": {"keys": [{"name": "ann", "key": "key-of-ann-012345"}]}})
    page = open_page(locked.url + "/docs", "dialog[open]")
    # The page asks for two descriptions at once: one refusal opens the dialog, the other comes after the key.
    held: list[Route] = []
    page.route("**/openapi.json", lambda route: held.append(route), times=1)
    page.reload()
    page.get_by_label("Key", exact=True).fill("key-of-ann-012345")
    page.keyboard.press("Enter")
    link = page.get_by_role("navigation", name="Operations").get_by_role("link", name="echo:text")
    expect(link).to_be_visible()
    with page.expect_response(lambda response: response.status == 401):
        held[0].continue_()
    # An open dialog would be in the way.
    link.click()
    page.get_by_role("button", name="Run", exact=True).click()
    expect(answer(page)).to_contain_text("code 0")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("place", ["", "#tool/echo_echo", "#route/createSession"])
def test_everybody_can_use_it(server: Server, open_page: Open, place: str, width: int, scheme: str) -> None:
    size = {"width": width, "height": 800}
    page = open_page(server.url + "/docs" + place, "h1", viewport=size, color_scheme=scheme)
    assert fits(page)
    assert unreachable(page) == []
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
