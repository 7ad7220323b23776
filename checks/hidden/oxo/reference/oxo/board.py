def empty():
    return "." * 9


def place(board, at, mark):
    if mark not in ("x", "o") or not 0 <= at < 9 or board[at] != ".":
        raise ValueError(f"{mark!r} cannot be placed on {at}")
    return board[:at] + mark + board[at + 1 :]


def show(board):
    return "\n".join(board[at : at + 3] for at in (0, 3, 6))
