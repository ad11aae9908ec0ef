"""Documentation as it is shown."""

from __future__ import annotations

import pytest

from server.index.comments import plain


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("See {@link Gson#toJson(Object)} first.", "See Gson.toJson(Object) first."),
        ("See {@link #close} or {@link Reader the reader}.", "See close or the reader."),
        ("See {@link https://a.b | the page}.", "See the page."),
        ("Returns {@code null} if absent.", "Returns null if absent."),
        ('From <a href="http://a.b/c">the paper</a>, <b>fast</b>.', "From the paper, fast."),
        ("A List<String> of Map<K, V> and <T>.", "A List<String> of Map<K, V> and <T>."),
        ("a &lt; b &amp;&amp; c", "a < b && c"),
        ("Like :class:`~pathlib.Path` and :py:meth:`open <io.open>`.", "Like pathlib.Path and open."),
        ("if a < b and c > d: x", "if a < b and c > d: x"),
        ("if a <b and c> d: x", "if a <b and c> d: x"),
        ("{@link", "{@link"),
        ("", ""),
    ],
)
def test_markup_is_not_shown(said: str, shown: str) -> None:
    assert plain(said) == shown
