"""Written before any model saw the prompt; never shown to one."""
import pytest
from oxo.board import empty, place, show
from oxo.player import move
from oxo.rules import is_over, turn, winner


def test_empty():
    assert empty() == "........."


def test_place():
    assert place("x........", 4, "o") == "x...o...."


@pytest.mark.parametrize(("board", "at", "mark"), [("x........", 0, "o"), (".........", 9, "x"), (".........", -1, "x"), (".........", 0, "z")])
def test_wrong_places(board, at, mark):
    with pytest.raises(ValueError):
        place(board, at, mark)


def test_show():
    assert show("xo.......") == "xo.\n...\n..."


@pytest.mark.parametrize(
    ("board", "mark"),
    [("xxxoo....", "x"), ("oxxo.xo..", "o"), ("x.o.xo..x", "x"), ("x.oxoxo..", "o"), (".........", None), ("xoxxoxoxo", None)],
)
def test_winner(board, mark):
    assert winner(board) == mark


@pytest.mark.parametrize(("board", "over"), [("xxxoo....", True), ("xoxxoxoxo", True), ("xo.......", False)])
def test_is_over(board, over):
    assert is_over(board) is over


@pytest.mark.parametrize(("board", "mark"), [(".........", "x"), ("x........", "o"), ("xo.......", "x")])
def test_turn(board, mark):
    assert turn(board) == mark


@pytest.mark.parametrize(
    ("board", "mark", "at"),
    [
        ("xx.oo....", "x", 2),
        ("xx.oo....", "o", 5),
        ("xx.o.....", "o", 2),
        ("x........", "o", 4),
        ("....x....", "o", 0),
        ("o...x....", "x", 2),
    ],
)
def test_move(board, mark, at):
    assert move(board, mark) == at


def test_no_move_when_it_is_over():
    with pytest.raises(ValueError):
        move("xxxoo....", "o")
