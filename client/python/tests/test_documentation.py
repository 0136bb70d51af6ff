"""Every Python example of the documentation runs, and prints what it says it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet
from live import free_url, write_config

from sandbox import Sandbox

ROOT = Path(__file__).parents[3]
PAGES = ["docs/agents-python.md", "client/python/README.md"]

#: A Python block, and the text block that comes next, if one does.
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)


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
    exec(code.replace("http://localhost:18891", free_url()), {"__name__": "__main__"})
    if printed is not None:
        assert capsys.readouterr().out == printed
