class Account:
    def __init__(self):
        self.balance = 0

    def deposit(self, cents):
        if cents <= 0:
            raise ValueError("an amount must be positive")
        self.balance += cents

    def withdraw(self, cents):
        if cents <= 0 or cents > self.balance:
            raise ValueError("that cannot be withdrawn")
        self.balance -= cents
