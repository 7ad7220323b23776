"""Written before any model saw the prompt; never shown to one."""
import pytest
from bank.account import Account
from bank.money import parse, show
from bank.report import statement


def test_parse_cents():
    assert parse("12.34") == 1234


def test_parse_whole():
    assert parse("7") == 700


@pytest.mark.parametrize("text", ["", "abc", "1.2.3", "-1", "1.234"])
def test_malformed_amounts_are_refused(text):
    with pytest.raises(ValueError):
        parse(text)


def test_show():
    assert show(1234) == "12.34"


def test_show_pads():
    assert show(5) == "0.05"


def test_account_starts_empty():
    assert Account().balance == 0


def test_deposit_and_withdraw():
    account = Account()
    account.deposit(500)
    account.withdraw(200)
    assert account.balance == 300


def test_withdraw_too_much():
    account = Account()
    account.deposit(100)
    with pytest.raises(ValueError):
        account.withdraw(101)
    assert account.balance == 100


@pytest.mark.parametrize("cents", [0, -5])
def test_amounts_must_be_positive(cents):
    with pytest.raises(ValueError):
        Account().deposit(cents)


def test_statement():
    account = Account()
    account.deposit(1234)
    assert statement(account) == "balance: 12.34"
