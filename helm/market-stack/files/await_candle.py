"""URL SYMBOL INTERVAL SECONDS: wait until the query API has a candle of the symbol, and print it."""

import json
import sys
import time
import urllib.request

url, symbol, interval, seconds = sys.argv[1:]
end, said = time.monotonic() + float(seconds), "nothing"
while time.monotonic() < end:
    try:
        address = f"{url}/api/v1/analytics/klines/{symbol}?interval={interval}&limit=1"
        with urllib.request.urlopen(address, timeout=10) as answer:
            candles = json.load(answer)["candles"]
        if candles:
            sys.stdout.write(f"{symbol}: {json.dumps(candles[0])}\n")
            sys.exit(0)
        said = "no candle yet"
    except OSError as error:
        said = str(error)
    time.sleep(1)
sys.exit(f"{url} has no {interval} candle of {symbol} after {seconds} s: {said}")
