def table(stock):
    lines = []
    for name in stock.names():
        if stock.amount(name) > 1e-9:
            lines.append(f"{name}: {stock.amount(name):.2f} {stock.item(name).unit}")
    return "\n".join(lines)
