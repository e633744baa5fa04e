from __future__ import annotations

from drydock.differences import PAGE, page


def test_the_page_of_differences_says_what_the_code_declares() -> None:
    assert PAGE.read_text() == page(), "run: python -m drydock.differences"
