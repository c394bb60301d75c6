"""The runner of the pages' examples: what a page says must be what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import explained

PAGE = """# Adding

Words.

```python
>>> one = 1
>>> one + given
3
```

```sh
exit 1
```

<!-- shown -->
```python
>>> one * 10
10
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "adding.md"


def test_the_examples_run_in_order_in_one_namespace(page: Path) -> None:
    page.write_text(PAGE)
    assert explained.run(page, {"given": 2}) == 3


def test_what_differs_fails_with_the_line_of_the_page(page: Path) -> None:
    page.write_text(PAGE.replace("\n10\n", "\n11\n"))
    with pytest.raises(
        AssertionError, match=r'adding\.md", (?s:line 17.*)Expected:\n    11\nGot:\n    10'
    ) as caught:
        explained.run(page, {"given": 2})
    assert "line 7" not in str(caught.value)


def test_what_raises_fails(page: Path) -> None:
    page.write_text(PAGE)
    with pytest.raises(AssertionError, match="NameError"):
        explained.run(page)


@pytest.mark.parametrize(
    "text", ["# Words\n", PAGE.replace("```python", "```sh", 1), "```python\nx = 1\n```\n"]
)
def test_a_page_opens_with_an_example(page: Path, text: str) -> None:
    page.write_text(text)
    with pytest.raises(AssertionError, match="does not open"):
        explained.run(page)
