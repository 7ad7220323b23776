from bank.money import show


def statement(account):
    return f"balance: {show(account.balance)}"
