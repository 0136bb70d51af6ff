"""Every Python example of the documentation runs and prints what it says, and JSON is JSON."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from live import write_config

from sandbox import Sandbox

ROOT = Path(__file__).parents[3]
PAGES = ["docs/agents-python.md", "client/python/README.md"]

#: A Python block, and the text block that comes next, if one does.
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


JSON_BLOCK = re.compile(r"^```json\n(.*?)^```", re.DOTALL | re.MULTILINE)


def pages() -> list[str]:
    listed = ["*.md", "docs/*.md", "plugins/*/README.md", "plugins/*/*/README.md", "client/*/*.md"]
    return sorted(str(page.relative_to(ROOT)) for each in listed for page in ROOT.glob(each))


@pytest.mark.parametrize("page", pages())
def test_what_is_called_json_is_json(page: str) -> None:
    for match in JSON_BLOCK.finditer((ROOT / page).read_text()):
        json.loads(match[1])


def test_every_method_is_in_the_table() -> None:
    table = (ROOT / "docs/agents-python.md").read_text().split("## All methods")[1]
    for name, method in inspect.getmembers(Sandbox, inspect.isroutine):
        if not name.startswith("_") and not name.endswith("_sync"):
            assert f"| `{name}(" in table, method


def examples() -> list[ParameterSet]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            found.append(pytest.param(match[1], match[2], id=f"{page}:{line}"))
    return found


@pytest.mark.parametrize(("code", "printed"), examples())
def test_an_example_prints_what_it_says(
    code: str,
    printed: str | None,
    owner: Sandbox,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The examples use the default address, and one of their own, `config.json`
    # where they run, and the binary that is installed.
    defaults = (owner.server_url, *(Sandbox.__init__.__defaults__ or ())[1:])
    monkeypatch.setattr(Sandbox.__init__, "__defaults__", defaults)
    write_config(tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("http://localhost:18891", url), {"__name__": "__main__"})
    if printed is not None:
        assert capsys.readouterr().out == printed
