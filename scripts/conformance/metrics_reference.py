"""Compares quantiles with numpy's, and 1,000 random prices with the Python package genai-prices.

metrics_reference.py PROGRAM: the example `metrics_reference` of the crate `metrics`.
"""

import datetime
import json
import random
import re
import subprocess
import sys

import numpy
from genai_prices import Usage, calc_price, data

PRICES = 1_000
PARTS = [0.5, 0.9, 0.95, 0.99, 0.999]
# Fewer values than this are kept one by one.
EXACT = 100
chance = random.Random(7)
numbers = numpy.random.default_rng(7)


def sets():
    """Names and values, of few and of many."""
    for count in (1, 2, 3, 10, EXACT - 1, 10_000, 100_000):
        yield f"uniform {count}", numbers.integers(1, 10_000_000, count)
        yield f"normal {count}", numpy.abs(numbers.normal(1e6, 2e5, count)).astype(int)
        yield f"skewed {count}", numbers.lognormal(10, 1, count).astype(int) + 1
        yield f"constant {count}", numpy.full(count, 123_456)


def address(provider):
    """An address that the provider's pattern takes, if it is a plain one."""
    plain = re.sub(r"\(.*?\)\??|\\", "", provider.api_pattern)
    return plain if re.match(provider.api_pattern, plain) else None


def calls():
    """Random calls of random models of all providers with a plain address."""
    known = [(address(one), one) for one in data.providers]
    known = [(url, one) for url, one in known if url and one.models]
    assert len(known) > 20, len(known)
    for _ in range(PRICES):
        url, provider = chance.choice(known)
        prompt = chance.randrange(1, 200_000)
        cached = chance.choice([0, 0, chance.randrange(prompt + 1)])
        model = chance.choice(provider.models).id
        if provider.id == "openai" and chance.randrange(4) == 0:
            model = f"ft:{model}:acme::x1"
        when = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
        when += datetime.timedelta(seconds=chance.randrange(60_000_000))
        yield {
            "model": model,
            "url": url,
            "prompt": prompt,
            "cached": cached,
            "cache_write": chance.choice([0, 0, chance.randrange(prompt - cached + 1)]),
            "tier": chance.choice([None, None, "flex", "batch", "priority"]),
            "completion": chance.randrange(20_000),
            "when": when.isoformat().replace("+00:00", "Z"),
        }


def theirs(call):
    """The price of the package, or None where it knows none."""
    usage = Usage(
        input_tokens=call["prompt"],
        cache_read_tokens=call["cached"],
        cache_write_tokens=call["cache_write"],
        output_tokens=call["completion"],
    )
    when = datetime.datetime.fromisoformat(call["when"])
    try:
        found = calc_price(
            usage,
            call["model"],
            provider_api_url=call["url"],
            genai_request_timestamp=when,
            price_context=call["tier"] and {"service_tier": call["tier"]},
        )
    except (LookupError, ValueError):
        return None
    return float(found.total_price)


def main(program):
    questions, checks = [], []
    for name, values in sets():
        questions.append({"quantiles": {"values": values.tolist(), "at": PARTS}})
        checks.append((name, values))
    wanted = list(calls())
    questions += [{"price": call} for call in wanted]
    text = "\n".join(map(json.dumps, questions))
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)

    worst = 0.0
    for (name, values), found in zip(checks, answers):
        for part, ours, numpys in zip(PARTS, found, numpy.quantile(values, PARTS)):
            error = abs(ours - numpys) / numpys
            bound = 1e-9 if len(values) < EXACT else 0.01
            assert error <= bound, f"{name}, quantile {part}: {ours} is not {numpys}"
            worst = max(worst, error)
    print(f"{len(checks)} sets of values: quantiles within {100 * worst:.2f} % of numpy's")

    priced = 0
    for call, ours in zip(wanted, answers[len(checks):]):
        expected = theirs(call)
        if expected is None:
            assert ours is None, f"{call}: {ours} is not unpriced"
            continue
        # Half a pico-dollar is rounded, and the sum of three floats has an error of some units in the last place.
        bound = 0.5e-12 + 4 * numpy.spacing(expected)
        assert ours is not None and abs(float(ours) - expected) <= bound, f"{call}: {ours} is not {expected}"
        priced += 1
    assert priced > PRICES // 2, priced
    print(f"{PRICES} random calls: {priced} prices are those of genai-prices, the others are unpriced in both")


main(sys.argv[1])
