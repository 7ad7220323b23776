from dataclasses import dataclass
from datetime import date
from typing import Optional


@dataclass
class Chore:
    title: str
    days: int
    done_on: Optional[date] = None
