"""Written before any model saw the prompt; never shown to one."""
import pytest
from search.index import Index
from search.query import find
from search.words import words


@pytest.fixture
def index():
    index = Index()
    index.add("a", "The quick brown fox")
    index.add("b", "The lazy dog")
    index.add("c", "A quick dog doesn't rest")
    return index


def test_words():
    assert words("Hello, World 42!") == ["hello", "world", "42"]


def test_apostrophes():
    assert words("It doesn't 'quote' rock'") == ["it", "doesn't", "quote", "rock"]


def test_no_words():
    assert words(" -- ") == []


def test_documents_in_any_case(index):
    assert index.documents("QUICK") == {"a", "c"}


def test_unknown_word(index):
    assert index.documents("cat") == set()


def test_replacing(index):
    index.add("a", "cat")
    assert index.documents("fox") == set()
    assert index.documents("cat") == {"a"}


def test_removing(index):
    index.remove("a")
    assert index.documents("quick") == {"c"}


def test_removing_what_is_not_there(index):
    with pytest.raises(KeyError):
        index.remove("x")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("quick", ["a", "c"]),
        ("quick dog", ["c"]),
        ("fox OR dog", ["a", "b", "c"]),
        ("quick fox OR lazy", ["a", "b"]),
        ("the -fox", ["b"]),
        ("dog -quick OR fox", ["a", "b"]),
        ("", []),
        ("cat", []),
        ("doesn't", ["c"]),
    ],
)
def test_find(index, query, names):
    assert find(index, query) == names
